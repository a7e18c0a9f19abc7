"""The machine's memory and swap, from /proc/meminfo. No cgroups."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from memtrace.host.files import read_bytes
from memtrace.samples import Swap

_MAX_BYTES = 65_536
_LINE = re.compile(
    rb"^(MemTotal|MemFree|SReclaimable|SwapTotal|SwapFree): +([0-9]{1,15}) kB$", re.MULTILINE
)


class Meminfo(NamedTuple):
    """In bytes (proc_meminfo(5)); None: not told.

    `total`: memory the kernel manages; `free`: what nothing uses, not even as cache;
    `reclaimable_slab`: kernel memory that reclaim can free, free places in it included; `swap`:
    all areas, 0 and 0 without any. Used includes slots whose page is in memory, too.
    """

    total: int | None = None
    free: int | None = None
    reclaimable_slab: int | None = None
    swap: Swap | None = None


def read_meminfo(root: Path) -> Meminfo:
    """The machine as of now."""
    return parse_meminfo(read_bytes(root / "proc/meminfo", _MAX_BYTES) or b"")


def parse_meminfo(data: bytes) -> Meminfo:
    """The text of /proc/meminfo: "SReclaimable:    1234 kB"."""
    told = {name: int(amount) * 1024 for name, amount in _LINE.findall(data)}
    return Meminfo(
        told.get(b"MemTotal"), told.get(b"MemFree"), told.get(b"SReclaimable"), _swap(told)
    )


def _swap(told: dict[bytes, int]) -> Swap | None:
    total, free = told.get(b"SwapTotal"), told.get(b"SwapFree")
    return None if total is None or free is None else Swap(total, max(0, total - free))
