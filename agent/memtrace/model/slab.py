"""Kernel objects of a cgroup with all below it, set against the kernel's own figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from memtrace.model.rank import TOP
from memtrace.model.shapes import SlabFigures
from memtrace.model.slab_culprits import NOBODY, Culprits
from memtrace.samples import Memory, Slab, SlabCulprit, SlabRow

MOST_CULPRITS = 10

Key = tuple[str, bool]


class SlabTable(NamedTuple):
    """The rows of a cgroup and all below it by cache. Never changed, so it may be used again."""

    rows: dict[Key, SlabRow]
    page_table_bytes: int | None
    other_page_bytes: int


def joined(own: Slab | None, below: Sequence[SlabTable | None]) -> SlabTable | None:
    """Return what a cgroup and those below it hold; None where no census tells of any of them."""
    parts = [part for part in below if part is not None]
    if own is not None:
        rows = {(row.cache, row.reclaimable): row for row in own.rows}
        parts.append(SlabTable(rows, own.page_table_bytes, own.other_page_bytes))
    if len(parts) < 2:
        return parts[0] if parts else None
    together: dict[Key, SlabRow] = {}
    for part in parts:
        for key, row in part.rows.items():
            same = together.get(key)
            together[key] = row if same is None else _sum(same, row)
    tables = [part.page_table_bytes for part in parts]
    known = [amount for amount in tables if amount is not None]
    return SlabTable(
        together,
        sum(known) if len(known) == len(tables) else None,
        sum(part.other_page_bytes for part in parts),
    )


def figures(
    table: SlabTable | None, memory: Memory | None, mode: str, culprits: Culprits = NOBODY
) -> SlabFigures | None:
    """Return the rows, largest first, their sums and what the kernel counts besides.

    `culprits`: who had objects allocated, as far as that was watched.

    v2: memory.stat's `slab` is compared. v1 tells kernel memory as one sum, so that the pages
    charged whole are added before comparing; what remains there is per-CPU data and what each
    CPU keeps charged in stock.
    """
    if table is None:
        return None
    by_cache = _by_cache(culprits)
    named = (
        row._replace(culprits=by_cache[row.cache]) if row.cache in by_cache else row
        for row in table.rows.values()
    )
    rows = tuple(sorted(named, key=lambda row: (-row.bytes, row.cache)))
    total = sum(row.bytes for row in rows)
    told = None
    explained = total
    if memory is not None and mode == "v2":
        told = memory.slab_bytes
    elif memory is not None:
        told = memory.kernel_bytes
        explained += (table.page_table_bytes or 0) + table.other_page_bytes
    return SlabFigures(
        rows,
        total,
        sum(row.objects for row in rows),
        sum(row.bytes for row in rows if row.reclaimable),
        table.page_table_bytes,
        table.other_page_bytes,
        told,
        None if told is None else told - explained,
    )


def of_nobody(slab: Slab) -> SlabFigures:
    """Return the same of what no cgroup pays for; the kernel has no figure for that."""
    table = joined(slab, [])
    made = figures(table, None, "v2")
    assert made is not None
    return made


def shown(slab: SlabFigures, most: int = TOP) -> tuple[tuple[SlabRow, ...], int]:
    """Return the largest rows, and what the others have together."""
    rows = slab.rows[:most]
    return rows, slab.bytes - sum(row.bytes for row in rows)


def _by_cache(culprits: Culprits) -> dict[str, tuple[SlabCulprit, ...]]:
    """Return the culprits of each cache, the largest first."""
    found: dict[str, list[SlabCulprit]] = {}
    for row in culprits.rows:
        one = SlabCulprit(row.tgid, row.comm, row.syscall, row.bytes, row.objects)
        found.setdefault(row.cache, []).append(one)
    return {cache: tuple(rows[:MOST_CULPRITS]) for cache, rows in found.items()}


def _sum(left: SlabRow, right: SlabRow) -> SlabRow:
    return left._replace(
        objects=left.objects + right.objects,
        bytes=left.bytes + right.bytes,
        culprits=_all(left.culprits, right.culprits),
    )


def _all(
    left: tuple[SlabCulprit, ...] | None, right: tuple[SlabCulprit, ...] | None
) -> tuple[SlabCulprit, ...] | None:
    """Return the largest of both; unknown only where both are."""
    if left is None or right is None:
        return right if left is None else left
    found = sorted((*left, *right), key=lambda culprit: -culprit.bytes)
    return tuple(found[:MOST_CULPRITS])
