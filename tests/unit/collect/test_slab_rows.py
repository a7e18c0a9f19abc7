"""The census' decoder: rows by address become rows by name, and nothing is lost on the way."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from memtrace.collect.slab_rows import decode
from memtrace.kernel import wire
from memtrace.kernel.batch import Chunk
from memtrace.samples import Slab, SlabRow

DENTRY, INODE, TWIN = 0xFFFF888000010000, 0xFFFF888000020000, 0xFFFF888000030000


def chunk(keys: Iterable[bytes], values: Iterable[bytes]) -> list[Chunk]:
    """One chunk with room for more than it holds, as the kernel hands it out."""
    keys, values = list(keys), list(values)
    rest = bytes(256)
    return [(memoryview(b"".join(keys) + rest), memoryview(b"".join(values) + rest), len(keys))]


def caches(**named: tuple[int, int]) -> list[Chunk]:
    """Caches by name: (address, reclaimable)."""
    return chunk(
        [struct.pack("<Q", address) for address, _ in named.values()],
        [wire.CACHE.pack(9, 192, flag, name.encode()) for name, (_, flag) in named.items()],
    )


def holdings(*rows: tuple[int, int, int, int]) -> list[Chunk]:
    """Rows of (cgroup, cache, objects, bytes)."""
    return chunk(
        [wire.HOLDING_KEY.pack(*row[:2]) for row in rows],
        [wire.HOLDING.pack(*row[2:]) for row in rows],
    )


NAMES = caches(dentry=(DENTRY, 1), kmalloc=(INODE, 0))


def test_objects_belong_to_their_cgroup_under_the_caches_name() -> None:
    """The largest cache first."""
    rows = holdings((7, DENTRY, 3, 600), (7, INODE, 1, 1048), (9, DENTRY, 1, 200))
    held = decode(rows, NAMES, {7, 9}, True)
    assert held.slabs[7].rows == (
        SlabRow("kmalloc", 1, 1048, False),
        SlabRow("dentry", 3, 600, True),
    )
    assert held.slabs[9] == Slab((SlabRow("dentry", 1, 200, True),))
    assert held.lost_bytes == 0


def test_what_nobody_pays_for_is_apart() -> None:
    """Cgroup 0 is nobody."""
    held = decode(holdings((0, DENTRY, 2, 384)), NAMES, {7}, True)
    assert held.nobody.rows == (SlabRow("dentry", 2, 384, True),)
    assert held.slabs == {7: Slab()}


def test_whole_pages_are_no_slab() -> None:
    """Page tables and other pages have figures of their own; large kmalloc is slab."""
    rows = holdings(
        (7, wire.PAGE_TABLES, 1, 4096),
        (7, wire.OTHER_PAGES, 4, 16384),
        (7, wire.LARGE_KMALLOC, 1, 32768),
    )
    held = decode(rows, NAMES, {7}, True)
    assert held.slabs[7] == Slab((SlabRow("large kmalloc", 1, 32768, False),), 4096, 16384)


def test_page_tables_are_unknown_where_the_kernel_does_not_mark_them() -> None:
    """Unknown is None, never 0."""
    held = decode(holdings((7, wire.OTHER_PAGES, 4, 16384)), NAMES, {7}, False)
    assert (held.slabs[7].page_table_bytes, held.slabs[7].other_page_bytes) == (None, 16384)


def test_caches_of_one_name_are_one_row() -> None:
    """Two caches may be called alike; whether their objects can be freed keeps them apart."""
    names = [*NAMES, *caches(dentry=(TWIN, 1))]
    held = decode(holdings((7, DENTRY, 3, 600), (7, TWIN, 1, 200)), names, {7}, True)
    assert held.slabs[7].rows == (SlabRow("dentry", 4, 800, True),)


def test_unknown_cgroups_and_caches_are_lost_and_counted() -> None:
    """A cgroup made or freed under the walk, or a cache without a name."""
    held = decode(holdings((8, DENTRY, 1, 200), (7, 0xDEAD, 1, 50)), NAMES, {7}, True)
    assert held.lost_bytes == 250
    assert held.slabs == {7: Slab()}


@given(st.binary(max_size=wire.CACHE_NAME_BYTES))
def test_any_name_becomes_printable_text(raw: bytes) -> None:
    """A module may have given its cache any bytes for a name."""
    record = chunk([struct.pack("<Q", DENTRY)], [wire.CACHE.pack(1, 8, 0, raw)])
    (row,) = decode(holdings((7, DENTRY, 1, 16)), record, {7}, True).slabs[7].rows
    assert row.cache
    assert row.cache.isascii()
    assert row.cache.isprintable()


numbers = st.integers(0, 1 << 40)
rows = st.tuples(st.integers(0, 4), st.sampled_from((DENTRY, INODE, 1, 2, 3, 77)), numbers, numbers)


@given(st.lists(rows, max_size=40))
def test_every_byte_is_somewhere(found: list[tuple[int, int, int, int]]) -> None:
    """Rows, pages, nobody's and lost bytes add up to what the kernel counted."""
    held = decode(holdings(*found), NAMES, {1, 2}, True)
    everybody = [held.nobody, *held.slabs.values()]
    slabs = sum(row.bytes for slab in everybody for row in slab.rows)
    pages = sum((slab.page_table_bytes or 0) + slab.other_page_bytes for slab in everybody)
    assert slabs + pages + held.lost_bytes == sum(amount for *_, amount in found)
