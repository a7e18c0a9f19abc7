"""Go processes of a cgroup with all below it: what they did in the interval, and their limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from memtrace.model.deltas import counter
from memtrace.model.go_limits import beside
from memtrace.model.go_remarks import remarks
from memtrace.model.go_shapes import NONE, Beside, GoRow, GoTable
from memtrace.model.rank import TOP
from memtrace.samples import CgroupSample, GoCycles, GoHeapFunctions, GoProcess, Memory


class Bound(NamedTuple):
    """The memory limit in effect, and the figures of the cgroup that sets it; None: no limit."""

    limit_bytes: int | None = None
    memory: Memory | None = None


def own_rows(
    cgroup: CgroupSample, before: CgroupSample | None, elapsed: float | None, bound: Bound
) -> tuple[GoRow, ...] | None:
    """Return a row for each Go process of a cgroup alone. `elapsed`: seconds since `before`.

    None: nobody looked.
    """
    if cgroup.go is None:
        return None
    past = before.go if before is not None and before.go else ()
    known = {(each.pid, each.start): each for each in past}
    mapped = sum(each.heap.mapped_bytes for each in cgroup.go if each.heap is not None)
    return tuple(
        _row(
            cgroup.cgroup_id,
            each,
            known.get((each.pid, each.start)),
            elapsed,
            beside(*bound, each, mapped),
        )
        for each in cgroup.go
    )


def joined(own: Sequence[GoRow] | None, below: Sequence[GoTable | None]) -> GoTable | None:
    """Return the processes of a cgroup and all below it; None where nobody looked anywhere."""
    parts = [part for part in below if part is not None and part is not NONE]
    if not own and not parts:
        return None if own is None and None in (below or (None,)) else NONE
    rows = in_order([*(own or ()), *(row for part in parts for row in part.rows)])
    rest = sum(max(0, _size(row)) for row in rows[TOP:]) + sum(part.other_bytes for part in parts)
    return GoTable(tuple(rows[:TOP]), rest, tuple(own or ()))


def with_heap(row: GoRow, heap: GoHeapFunctions | None) -> GoRow:
    """Return the row with the functions that hold most of its heap; None: not asked for."""
    if heap is None or heap.rows is None or heap.other_bytes is None:
        return row._replace(heap_functions=heap)
    rest = heap.other_bytes + sum(each.bytes for each in heap.rows[TOP:])
    return row._replace(heap_functions=heap._replace(rows=heap.rows[:TOP], other_bytes=rest))


def in_order(rows: Iterable[GoRow], by: str = "in-use") -> list[GoRow]:
    """Return the rows with the largest of one figure (of SORTS) first, unknown last."""
    return sorted(rows, key=SORTS[by], reverse=True)


def _figure(name: str) -> Callable[[GoRow], int]:
    return lambda row: -1 if row.process.heap is None else getattr(row.process.heap, name)


SORTS: dict[str, Callable[[GoRow], int]] = {
    "in-use": _figure("heap_in_use_bytes"),
    "live": _figure("heap_live_bytes"),
    "goal": _figure("heap_goal_bytes"),
    "idle": _figure("heap_idle_bytes"),
    "allocated": lambda row: -1 if (one := row.allocated_delta_bytes) is None else one,
    "cycles": lambda row: -1 if (one := row.gc_cycles_delta) is None else one,
}


_size = SORTS["in-use"]


def _row(
    cgroup: int,
    now: GoProcess,
    before: GoProcess | None,
    elapsed: float | None,
    around: Beside,
) -> GoRow:
    allocated = cycles = fraction = None
    if before is not None and now.heap is not None and before.heap is not None:
        allocated = counter(now.heap.allocated_bytes, before.heap.allocated_bytes)
        cycles = counter(now.heap.gc_cycles, before.heap.gc_cycles)
    if before is not None and now.gc is not None and before.gc is not None:
        fraction = _fraction(now, before.gc, elapsed)
    told = remarks(now, around)
    return GoRow(now, cgroup, around, allocated, cycles, fraction, told)


def _fraction(now: GoProcess, before: GoCycles, elapsed: float | None) -> float | None:
    procs = None if now.heap is None else now.heap.gomaxprocs
    if now.gc is None or not procs or not elapsed:
        return None
    if now.gc.cpu_seconds is None or before.cpu_seconds is None:
        return None
    return max(0.0, now.gc.cpu_seconds - before.cpu_seconds) / (elapsed * procs)
