"""The machine's swap, from /proc/swaps. Cgroups' own swap figures are memory_stat.py's."""

from __future__ import annotations

from pathlib import Path

from memtrace.host.files import read_bytes
from memtrace.samples import Swap

_MAX_BYTES = 65_536  # at most 32 areas (MAX_SWAPFILES), whose names the kernel escapes
_MAX_DIGITS = 15
_NUMBERS = slice(-3, -1)  # Size and Used, in KiB; Priority is last


def read_swap(root: Path) -> Swap | None:
    """All swap areas together; None where the file cannot be read or makes no sense.

    Without swap both figures are 0. Used includes slots whose page is in memory, too.
    """
    data = read_bytes(root / "proc/swaps", _MAX_BYTES)
    return None if data is None else parse_swaps(data)


def parse_swaps(data: bytes) -> Swap | None:
    """The text of /proc/swaps: a heading, then Filename, Type, Size, Used and Priority."""
    heading, *lines = data.splitlines() or [b""]
    if not heading.startswith(b"Filename"):
        return None
    areas = [line.split()[_NUMBERS] for line in lines]
    if not all(len(area) == 2 and all(map(_is_number, area)) for area in areas):
        return None
    total, used = (sum(int(area[column]) for area in areas) for column in (0, 1))
    return Swap(total * 1024, used * 1024)


def _is_number(word: bytes) -> bool:
    return word.isdigit() and len(word) <= _MAX_DIGITS
