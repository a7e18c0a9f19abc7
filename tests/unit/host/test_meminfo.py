"""/proc/meminfo: the machine's reclaimable slab."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from memtrace.host.meminfo import free_bytes, machine_bytes, parse_meminfo, reclaimable_slab


def test_one_line_tells_it() -> None:
    """From KiB to bytes."""
    text = (
        b"MemTotal:       8152292 kB\nSlab:  9 kB\nSReclaimable:     1009 kB\nHugePages_Free:  0\n"
    )
    assert parse_meminfo(text) == 1009 * 1024


def test_what_the_kernel_does_not_tell_is_unknown(tmp_path: Path) -> None:
    """Neither a missing file nor a missing line is 0."""
    assert reclaimable_slab(tmp_path) is None
    assert parse_meminfo(b"MemTotal:       8152292 kB\n") is None


def test_free_memory_is_apart_from_all_of_it(tmp_path: Path) -> None:
    """Each by its own line."""
    (tmp_path / "proc").mkdir()
    text = b"MemTotal:    8152292 kB\nMemFree:      103 kB\nMemAvailable:  7 kB\n"
    (tmp_path / "proc" / "meminfo").write_bytes(text)
    assert (free_bytes(tmp_path), machine_bytes(tmp_path)) == (103 * 1024, 8152292 * 1024)


def test_this_machine_tells_it() -> None:
    """Some of it is always there."""
    assert (reclaimable_slab(Path("/")) or 0) > 0


@given(st.binary(max_size=200))
@example(b"SReclaimable: x kB")
@example(b"SReclaimable: " + b"9" * 400 + b" kB\n")
def test_garbage_is_unknown(text: bytes) -> None:
    """None, never an exception."""
    assert parse_meminfo(text) is None
