"""/proc/swaps: how much swap the machine has and uses, whatever the areas are called."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from memtrace.host.swap import parse_swaps, read_swap
from memtrace.samples import Swap

HEADING = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
FILE = b"/disk/swap                              file\t\t65532\t\t24576\t\t-2\n"
ZRAM = b"/dev/zram0                              partition\t1024\t\t0\t\t100\n"


def test_areas_add_up() -> None:
    """Files and partitions together, from KiB to bytes."""
    assert parse_swaps(HEADING + FILE + ZRAM) == Swap(66556 * 1024, 24576 * 1024)


def test_a_machine_without_swap_has_none() -> None:
    """The heading alone: 0 of 0, which is known."""
    assert parse_swaps(HEADING) == Swap(0, 0)


def test_names_do_not_matter() -> None:
    """The kernel escapes blanks, and says so when the file was deleted."""
    line = b"/disk/my\\040swap\\040(deleted)\tfile\t\t8\t\t4\t\t-2\n"
    assert parse_swaps(HEADING + line) == Swap(8192, 4096)


@given(st.binary(max_size=200))
@example(HEADING + b"/swap file 1 2")
@example(HEADING + b"/swap file x 2 -2\n")
@example(HEADING + b"/swap file 1 " + b"9" * 400 + b" -2\n")
def test_what_makes_no_sense_is_unknown(text: bytes) -> None:
    """Garbage gives None, never an exception."""
    found = parse_swaps(text)
    assert found is None or found.used_bytes >= 0


def test_a_missing_file_is_unknown(tmp_path: Path) -> None:
    """Below another root, or on a kernel without swap: None, not 0."""
    assert read_swap(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/swaps").write_bytes(HEADING + FILE)
    assert read_swap(tmp_path) == Swap(65532 * 1024, 24576 * 1024)
