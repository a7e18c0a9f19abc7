"""Learns in which order this kernel keeps a cgroup's statistics, by comparing with memory.stat.

The kernel's array has no names: since Linux 6.12 it is compressed, and each version orders it
anew. Every key whose value stands in exactly one place, in every cgroup looked at, is known;
the others are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from memtrace.host.files import read_bytes
from memtrace.host.hierarchy import Hierarchy, walk

KEYS = (
    *("anon", "file", "shmem", "file_mapped", "file_dirty", "file_writeback"),
    *("slab_reclaimable", "slab_unreclaimable", "kernel", "kernel_stack", "pagetables"),
    *("percpu", "sock", "inactive_anon", "active_anon", "inactive_file", "active_file"),
)
_V1 = {
    "anon": "total_rss",
    "file": "total_cache",
    "shmem": "total_shmem",
    "file_mapped": "total_mapped_file",
    "file_dirty": "total_dirty",
    "file_writeback": "total_writeback",
    **{
        key: f"total_{key}"
        for key in ("inactive_anon", "active_anon", "inactive_file", "active_file")
    },
}
MAX_CGROUPS = 64
_STAT_BYTES = 16_384

State = tuple[int, ...]
Place = tuple[int, int]
"""Which number, and the bytes of its unit: stacks are counted in KiB, most in pages."""


def learn(
    hierarchy: Hierarchy, state: Callable[[Path], State | None], page: int
) -> dict[str, Place]:
    """Where each key is. `state` reads the kernel's array of a cgroup, by its directory."""
    names = _names(hierarchy)
    candidates: dict[str, set[Place]] = {}
    for stat, array in _pairs(hierarchy, state):
        for key, name in names.items():
            if value := stat.get(name):
                places = _places(value, array, page)
                candidates[key] = candidates.get(key, places) & places
    return {key: places.pop() for key, places in candidates.items() if len(places) == 1}


def is_complete(places: Mapping[str, Place], hierarchy: Hierarchy) -> bool:
    """Whether all that memory.stat tells there is known."""
    return places.keys() >= _names(hierarchy).keys()


def amounts(array: State, places: Mapping[str, Place]) -> dict[str, int]:
    """The known keys in bytes; the kernel's sums may be below 0 for a moment."""
    return {key: max(0, array[at] * unit) for key, (at, unit) in places.items()}


def _names(hierarchy: Hierarchy) -> dict[str, str]:
    """Our keys as memory.stat calls them."""
    return _V1 if hierarchy.version == 1 else {key: key for key in KEYS}


def _pairs(
    hierarchy: Hierarchy, state: Callable[[Path], State | None]
) -> Iterator[tuple[dict[str, int], State]]:
    """What of memory.stat stood still, and the array it was printed from, of each cgroup.

    Reading memory.stat brings the array up to date.
    """
    used = 0
    for entry in walk(hierarchy):
        directory = Path(f"{hierarchy.mount}{entry.path}")
        before = _stat(directory)
        array = state(directory)
        if before and array is not None:
            after = _stat(directory)
            yield {key: value for key, value in before.items() if after.get(key) == value}, array
            used += 1
        if used >= MAX_CGROUPS:
            return


def _stat(directory: Path) -> dict[str, int]:
    lines = (read_bytes(directory / "memory.stat", _STAT_BYTES) or b"").decode("ascii", "replace")
    words = (line.split() for line in lines.splitlines())
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdigit()}


def _places(value: int, array: State, page: int) -> set[Place]:
    units = (1, 1024, page)
    return {
        (at, unit)
        for at, found in enumerate(array)
        for unit in units
        if found > 0 and found * unit == value
    }
