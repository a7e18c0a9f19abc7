"""Go processes in JSON, as a Snapshot and `memtrace go` list them."""

from __future__ import annotations

from typing import Any

from memtrace.model.go_shapes import GoRow, GoTable
from memtrace.samples import GoCycles, GoHeap, GoHeapFunctions

_NO_HEAP = dict.fromkeys(GoHeap._fields)
_NOT_ASKED = GoHeapFunctions(reason="not asked for: --heap")


def go_list(table: GoTable | None) -> list[dict[str, Any]] | None:
    """Return the processes of a container; None: nobody looked."""
    return None if table is None else [go_row(row) for row in table.rows]


def go_row(row: GoRow) -> dict[str, Any]:
    """Return one process with every key of the contract."""
    process, heap = row.process, row.process.heap
    figures = _NO_HEAP if heap is None else heap._asdict()
    return {
        "pid": process.pid,
        "comm": process.comm,
        "cgroup_id": row.cgroup_id,
        "version": process.version,
        "main": process.main,
        "stripped": process.stripped,
        "state": process.state,
        "reason": process.reason,
        "default_godebug": process.debug,
        "cpu_quota": process.cpu_quota,
        "limit_bytes": row.beside.limit_bytes,
        "non_go_bytes": row.beside.other_bytes,
        **figures,
        "allocated_delta_bytes": row.allocated_delta_bytes,
        **_cycles(process.gc),
        "gc_cycles_delta": row.gc_cycles_delta,
        "gc_cpu_fraction": _rounded(row.gc_cpu_fraction),
        "age_seconds": None if heap is None else round(process.age_seconds, 3),
        "remarks": list(row.remarks),
    }


def heap_by_function(row: GoRow) -> dict[str, Any]:
    """Return who holds its heap; only `memtrace go` lists it."""
    heap = row.heap_functions or _NOT_ASKED
    return {
        "heap_by_function": None if heap.rows is None else [each._asdict() for each in heap.rows],
        "heap_by_function_other_bytes": heap.other_bytes,
        "heap_by_function_reason": heap.reason,
    }


def _cycles(gc: GoCycles | None) -> dict[str, Any]:
    known = gc or GoCycles()
    found = {
        "gc_observed_cycles": known.cycles,
        "gc_forced_cycles": known.forced,
        "gc_periodic_cycles": known.periodic,
        "gc_pause_seconds": _rounded(known.pause_seconds),
        "gc_longest_pause_seconds": _rounded(known.longest_pause_seconds),
        "gc_cpu_seconds": _rounded(known.cpu_seconds),
        "gc_assist_seconds": _rounded(known.assist_seconds),
        "gc_marked_bytes": known.marked_bytes,
    }
    return found if gc is not None else dict.fromkeys(found)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 9)
