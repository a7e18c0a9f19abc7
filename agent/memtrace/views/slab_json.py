"""Slab caches in JSON, each with who had its objects allocated."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from memtrace.model.shapes import SlabFigures
from memtrace.model.slab import shown
from memtrace.model.slab_culprits import Culprits
from memtrace.samples import SlabCulprit, SlabCulpritRow, SlabRow


def slab_list(slab: SlabFigures | None, culprits: Culprits) -> list[dict[str, Any]] | None:
    """Return the largest caches of the census, then those that only allocations tell of."""
    counted = () if slab is None else slab.rows
    only_watched = _uncounted(culprits, {row.cache for row in counted})
    if slab is None:
        return only_watched or None
    return slab_rows(shown(slab)[0]) + only_watched


def slab_rows(rows: Sequence[SlabRow]) -> list[dict[str, Any]]:
    """Return caches as the contract lists them."""
    return [
        {
            "cache": row.cache,
            "objects": row.objects,
            "bytes": row.bytes,
            "reclaimable": row.reclaimable,
            "culprits": None if row.culprits is None else [_culprit(each) for each in row.culprits],
        }
        for row in rows
    ]


def _uncounted(culprits: Culprits, counted: Set[str]) -> list[dict[str, Any]]:
    """Return the other caches that allocations were watched of; how much there is: null."""
    caches: dict[str, list[dict[str, Any]]] = {}
    for row in culprits.rows:
        if row.cache not in counted:
            caches.setdefault(row.cache, []).append(_culprit(row))
    return [
        {"cache": cache, "objects": None, "bytes": None, "reclaimable": True, "culprits": rows}
        for cache, rows in caches.items()
    ]


def _culprit(row: SlabCulprit | SlabCulpritRow) -> dict[str, Any]:
    return {
        "pid": row.tgid or None,
        "comm": row.comm,
        "syscall": row.syscall,
        "objects": row.objects,
        "bytes": row.bytes,
    }
