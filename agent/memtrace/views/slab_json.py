"""Slab caches in JSON, each with who had its objects allocated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memtrace.model.slab_culprits import Culprits
from memtrace.samples import SlabCulprit, SlabCulpritRow, SlabRow


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


def uncounted_rows(culprits: Culprits) -> list[dict[str, Any]] | None:
    """Return the caches that allocations were watched of; None: of none.

    How much of a cache there is takes a census: null here.
    """
    if not culprits.rows:
        return None
    caches: dict[str, list[dict[str, Any]]] = {}
    for row in culprits.rows:
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
