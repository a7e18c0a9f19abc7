"""The only way to a Snapshot: this sample, the one before it, and the time between.

Live and replay differ only in where samples come from. Wires the other files of
this package; computes nothing of its own.
"""

from __future__ import annotations

from typing import NamedTuple

from memtrace.model import deltas, page_cache
from memtrace.model.memory import effective_limits, figures
from memtrace.model.rows import rank_all
from memtrace.model.shapes import Container, MemoryFigures, PageCache, Rows, Snapshot
from memtrace.model.totals import Totals, roll_up
from memtrace.model.tree import Tree, grow
from memtrace.model.verdict import judge
from memtrace.model.verdict.case import Case, lag_bound
from memtrace.samples import CgroupSample, Memory, Sample


class _Before(NamedTuple):
    """The previous sample's cgroups and their totals by id."""

    cgroups: dict[int, CgroupSample]
    totals: dict[int, Totals]


class _Past(NamedTuple):
    """What one cgroup was at the previous sample; all None when that cannot be known."""

    totals: Totals | None
    memory: Memory | None


def snapshot(sample: Sample, previous: Sample | None, elapsed: float | None) -> Snapshot:
    """Return what `sample` means. `elapsed`: seconds since `previous`; both None at first."""
    tree = grow(sample)
    totals = roll_up(tree)
    before = _look_back(previous)
    limits = effective_limits(tree)
    rows = rank_all(tree, totals, deltas_known=before is not None)
    bound = lag_bound(sample)
    containers = tuple(
        _container(
            cgroup,
            tree,
            totals[cgroup.cgroup_id],
            _past(cgroup, before),
            figures(cgroup.memory, limits[cgroup.cgroup_id], sample.cgroup_mode),
            rows[cgroup.cgroup_id],
            bound,
        )
        for cgroup in sample.cgroups
    )
    return Snapshot(
        sample.time,
        elapsed if previous is not None else None,
        sample.node,
        sample.cgroup_mode,
        sample.engine,
        sample.lost,
        sample.features,
        sample.baseline,
        containers,
    )


def _container(
    cgroup: CgroupSample,
    tree: Tree,
    totals: Totals,
    past: _Past,
    memory: MemoryFigures,
    rows: Rows,
    bound: int,
) -> Container:
    cache = page_cache.compare(totals, cgroup.memory, past.totals, past.memory)
    usage_before = past.memory.usage_bytes if past.memory else None
    file_before = past.memory.file_bytes if past.memory else None
    return Container(
        cgroup,
        cgroup.cgroup_id in tree.leaves,
        memory,
        cache,
        deltas.gauge(memory.usage_bytes, usage_before),
        deltas.gauge(memory.file_bytes, file_before),
        totals.added,
        _kind_deltas(totals, past.totals),
        totals.removed,
        rows,
        judge(_case(memory, cache, rows, past, bound)),
    )


def _case(memory: MemoryFigures, cache: PageCache, rows: Rows, past: _Past, bound: int) -> Case:
    attributed = past.totals.attributed_bytes if past.totals else None
    file = past.memory.file_bytes if past.memory else None
    return Case(memory, cache, rows, deltas.gauge(file, attributed), bound)


def _look_back(previous: Sample | None) -> _Before | None:
    if previous is None:
        return None
    cgroups = {cgroup.cgroup_id: cgroup for cgroup in previous.cgroups}
    return _Before(cgroups, roll_up(grow(previous)))


def _past(cgroup: CgroupSample, before: _Before | None) -> _Past:
    if before is None:
        return _Past(None, None)
    earlier = before.cgroups.get(cgroup.cgroup_id)
    if earlier is not None:
        return _Past(before.totals[cgroup.cgroup_id], earlier.memory)
    if deltas.newborn(cgroup):
        return _Past(page_cache.NO_FLOW, page_cache.NO_MEMORY)
    return _Past(None, None)


def _kind_deltas(totals: Totals, before: Totals | None) -> tuple[int | None, ...]:
    if before is None:
        return (None,) * len(totals.added)
    return tuple(map(deltas.counter, totals.added, before.added))
