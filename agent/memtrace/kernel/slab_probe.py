"""The program that watches allocations of kernel objects, while it is attached.

Made by Session.watch_slab; decodes the two maps of bpf/slab.bpf.c and decides nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from memtrace.kernel import wire
from memtrace.kernel.closing import Closing
from memtrace.kernel.objects import LoadedObject

_OBJECTS = struct.Struct("<Q")


class Cache(NamedTuple):
    """A slab cache: its name, None for one that is no text, and what one object is charged."""

    name: str | None
    bytes: int


class SlabProbe(Closing):
    """Attached until `close`. Every method raises BpfError with libbpf's own words.

    `opened` is bpf/slab.bpf.c, loaded and attached; it is closed with this.
    """

    def __init__(self, opened: LoadedObject) -> None:
        self._opened = opened
        self._rows = opened.map("slab_allocated")
        self._caches = opened.map("slab_caches")

    def rows(self) -> Iterator[tuple[bytes, int]]:
        """Every row's key (wire.SLAB_KEY) and the objects allocated since it is there."""
        size = wire.SLAB_KEY.size
        for keys, values, count in self._rows.items():
            raw = bytes(keys)
            counts = _OBJECTS.iter_unpack(values[: count * _OBJECTS.size])
            for number, (objects,) in enumerate(counts):
                yield raw[number * size : (number + 1) * size], objects

    def cache(self, address: int) -> Cache | None:
        """The cache at an address that a row told; None: not told."""
        told = self._caches.get(_OBJECTS.pack(address))
        return None if told is None else decode_cache(told)

    def forget(self, row: bytes) -> None:
        """Give a row's place to another one; what it counted meanwhile is lost."""
        self._rows.delete(row)

    def close(self) -> None:
        """Detach and unload. May be called twice."""
        self._opened.close()


def decode_cache(record: bytes) -> Cache:
    """A wire.SLAB_CACHE. A module may have named its cache anything: only ASCII text counts."""
    size, raw = wire.SLAB_CACHE.unpack(record)
    name = raw.partition(b"\0")[0].decode("ascii", "replace")
    return Cache(name if name and name.isascii() and name.isprintable() else None, size)
