"""The machine's memory, and what kernel memory reclaim can free, from /proc/meminfo. No cgroups."""

from __future__ import annotations

from pathlib import Path

from memtrace.host.files import read_bytes

_MAX_BYTES = 65_536
_MAX_DIGITS = 15
_RECLAIMABLE, _TOTAL, _FREE = b"SReclaimable:", b"MemTotal:", b"MemFree:"


def reclaimable_slab(root: Path) -> int | None:
    """Bytes of slab that can be reclaimed, free places in it included; None: not told."""
    return _read(root, _RECLAIMABLE)


def machine_bytes(root: Path) -> int | None:
    """Bytes of memory the kernel manages; None: not told."""
    return _read(root, _TOTAL)


def free_bytes(root: Path) -> int | None:
    """Bytes of memory that nothing uses, not even as cache; None: not told."""
    return _read(root, _FREE)


def _read(root: Path, key: bytes) -> int | None:
    data = read_bytes(root / "proc/meminfo", _MAX_BYTES)
    return None if data is None else parse_meminfo(data, key)


def parse_meminfo(data: bytes, wanted: bytes = _RECLAIMABLE) -> int | None:
    """One line of the text of /proc/meminfo: "SReclaimable:    1234 kB" (proc_meminfo(5))."""
    for line in data.splitlines():
        match line.split():
            case [key, amount, b"kB"] if key == wanted:
                fits = amount.isdigit() and len(amount) <= _MAX_DIGITS
                return int(amount) * 1024 if fits else None
    return None
