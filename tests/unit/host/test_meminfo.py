"""/proc/meminfo: the machine's memory."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from memtrace.host.meminfo import Meminfo, parse_meminfo, read_meminfo
from memtrace.samples import Swap

TEXT = b"""MemTotal:       8152292 kB
MemFree:            103 kB
MemAvailable:         7 kB
Slab:                 9 kB
SReclaimable:      1009 kB
SwapTotal:         2044 kB
SwapFree:          1020 kB
HugePages_Free:       0
"""


def test_each_figure_has_a_line() -> None:
    """From KiB to bytes."""
    assert parse_meminfo(TEXT) == Meminfo(
        8152292 * 1024, 103 * 1024, 1009 * 1024, Swap(2044 * 1024, 1024 * 1024)
    )


def test_what_the_kernel_does_not_tell_is_unknown(tmp_path: Path) -> None:
    """Neither a missing file nor a missing line is 0."""
    assert read_meminfo(tmp_path) == Meminfo()
    assert parse_meminfo(b"MemTotal:       8 kB\nSwapTotal: 8 kB\n") == Meminfo(total=8192)


def test_this_machine_tells_it() -> None:
    """Some of it is always there."""
    told = read_meminfo(Path("/"))
    assert (told.reclaimable_slab or 0) > 0
    assert 0 < (told.free or 0) < (told.total or 0)
    areas = [line.split() for line in Path("/proc/swaps").read_text().splitlines()[1:]]
    assert told.swap is not None
    assert told.swap.total_bytes == sum(int(area[-3]) * 1024 for area in areas)


@given(st.binary(max_size=200))
@example(b"SReclaimable: x kB")
@example(b"SReclaimable: " + b"9" * 400 + b" kB\n")
def test_garbage_is_unknown(text: bytes) -> None:
    """None, never an exception."""
    assert parse_meminfo(text) == Meminfo()
