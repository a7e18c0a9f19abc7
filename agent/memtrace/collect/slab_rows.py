"""Decodes a census: the kernel's rows by address of cache become rows by name, for each cgroup."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from struct import Struct
from typing import NamedTuple

from memtrace.kernel import wire
from memtrace.kernel.batch import Chunk
from memtrace.samples import Slab, SlabRow

NOBODY = 0
LARGE_KMALLOC = "large kmalloc"
_ADDRESS = Struct("<Q")


class Cache(NamedTuple):
    """What a slab cache is called, and whether the kernel frees its objects under pressure."""

    name: str
    reclaimable: bool


class _Amount:
    __slots__ = ("bytes", "objects")

    def __init__(self) -> None:
        self.objects = self.bytes = 0

    def add(self, objects: int, amount: int) -> None:
        self.objects += objects
        self.bytes += amount


@dataclass(slots=True)
class Held:
    """Who holds what. `lost_bytes` are of cgroups that are not known, or of unnamed caches."""

    slabs: dict[int, Slab] = field(default_factory=dict)
    nobody: Slab = field(default_factory=Slab)
    lost_bytes: int = 0


def decode(
    holdings: Iterable[Chunk],
    caches: Iterable[Chunk],
    known: Collection[int],
    knows_page_tables: bool,
) -> Held:
    """Rows of every cgroup in `known`, the largest first; those without any are there, too."""
    names = _caches(caches)
    slabs: dict[int, dict[Cache, _Amount]] = defaultdict(lambda: defaultdict(_Amount))
    pages: dict[tuple[int, int], int] = defaultdict(int)
    held = Held()
    for cgroup, address, objects, amount in _holdings(holdings):
        cache = names.get(address)
        if cgroup not in known and cgroup != NOBODY:
            held.lost_bytes += amount
        elif address in (wire.PAGE_TABLES, wire.OTHER_PAGES):
            pages[cgroup, address] += amount
        elif cache is None:
            held.lost_bytes += amount
        else:
            slabs[cgroup][cache].add(objects, amount)
    for cgroup in {NOBODY, *known}:
        tables = pages.get((cgroup, wire.PAGE_TABLES), 0) if knows_page_tables else None
        others = pages.get((cgroup, wire.OTHER_PAGES), 0)
        held.slabs[cgroup] = Slab(_rows(slabs.get(cgroup, {})), tables, others)
    held.nobody = held.slabs.pop(NOBODY)
    return held


def _rows(table: Mapping[Cache, _Amount]) -> tuple[SlabRow, ...]:
    rows = [
        SlabRow(cache.name, has.objects, has.bytes, cache.reclaimable)
        for cache, has in table.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.bytes, row.cache)))


def _holdings(chunks: Iterable[Chunk]) -> Iterable[tuple[int, int, int, int]]:
    for keys, values, count in chunks:
        pairs = zip(
            wire.HOLDING_KEY.iter_unpack(keys[: count * wire.HOLDING_KEY.size]),
            wire.HOLDING.iter_unpack(values[: count * wire.HOLDING.size]),
            strict=True,
        )
        for (cgroup, cache), (objects, amount) in pairs:
            yield cgroup, cache, objects, amount


def _caches(chunks: Iterable[Chunk]) -> dict[int, Cache]:
    found = {wire.LARGE_KMALLOC: Cache(LARGE_KMALLOC, False)}
    for keys, values, count in chunks:
        addresses = _ADDRESS.iter_unpack(keys[: count * _ADDRESS.size])
        records = wire.CACHE.iter_unpack(values[: count * wire.CACHE.size])
        for (address,), (_, _, reclaimable, raw) in zip(addresses, records, strict=True):
            found[address] = Cache(_name(raw), bool(reclaimable))
    return found


def _name(raw: bytes) -> str:
    """A module may have named its cache anything, and its name may be gone with it."""
    name = raw.partition(b"\0")[0].decode("ascii", "replace")
    return name if name and name.isascii() and name.isprintable() else "(unnamed)"
