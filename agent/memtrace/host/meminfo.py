"""The machine's kernel memory that reclaim can free, from /proc/meminfo. Knows no cgroup."""

from __future__ import annotations

from pathlib import Path

from memtrace.host.files import read_bytes

_MAX_BYTES = 65_536
_MAX_DIGITS = 15
_KEY = b"SReclaimable:"


def reclaimable_slab(root: Path) -> int | None:
    """Bytes of slab that can be reclaimed, free places in it included; None: not told."""
    data = read_bytes(root / "proc/meminfo", _MAX_BYTES)
    return None if data is None else parse_meminfo(data)


def parse_meminfo(data: bytes) -> int | None:
    """The line of the text of /proc/meminfo: "SReclaimable:    1234 kB" (proc_meminfo(5))."""
    for line in data.splitlines():
        match line.split():
            case [key, amount, b"kB"] if key == _KEY:
                fits = amount.isdigit() and len(amount) <= _MAX_DIGITS
                return int(amount) * 1024 if fits else None
    return None
