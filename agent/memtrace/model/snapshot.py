"""The only way to a Snapshot: this sample, the one before it, and the time between.

Live and replay differ only in where samples come from. Wires the other files of
this package; computes nothing of its own.
"""

from __future__ import annotations

from typing import NamedTuple

from memtrace.model import deltas, page_cache
from memtrace.model.memo import Memo
from memtrace.model.memory import Limit, effective_limits, effective_swap_limits, figures
from memtrace.model.rows import RankMemo, rank_all
from memtrace.model.shapes import Container, MemoryFigures, PageCache, Rows, Snapshot
from memtrace.model.totals import Totals, roll_up
from memtrace.model.tree import Tree, grow
from memtrace.model.verdict import judge
from memtrace.model.verdict.case import Case, lag_bound
from memtrace.samples import CgroupSample, Memory, Sample


class Before(NamedTuple):
    """The previous sample's cgroups and their totals by id."""

    cgroups: dict[int, CgroupSample]
    totals: dict[int, Totals]


class _Past(NamedTuple):
    """What one cgroup was at the previous sample; all None when that cannot be known."""

    totals: Totals | None
    memory: Memory | None


class Memos:
    """What was worked out for the previous snapshot; a new one remembers nothing."""

    __slots__ = ("containers", "rows", "totals")

    def __init__(self) -> None:
        self.totals: Memo[Totals] = Memo()
        self.rows = RankMemo()
        self.containers: Memo[Container] = Memo()


def snapshot(sample: Sample, previous: Sample | None, elapsed: float | None) -> Snapshot:
    """Return what `sample` means. `elapsed`: seconds since `previous`; both None at first."""
    return describe(sample, _look_back(previous), elapsed, Memos())[0]


def describe(
    sample: Sample, before: Before | None, elapsed: float | None, memos: Memos
) -> tuple[Snapshot, Before]:
    """Return the snapshot, and what the next one needs to know of this sample.

    `memos` spare work and change nothing else.
    """
    tree = grow(sample)
    totals = roll_up(tree, memos.totals)
    made = Snapshot(
        sample.time,
        elapsed if before is not None else None,
        sample.node,
        sample.cgroup_mode,
        sample.engine,
        sample.lost,
        sample.features,
        sample.baseline,
        _containers(sample, tree, totals, before, memos),
    )
    return made, Before(_by_id(sample), totals)


def _containers(
    sample: Sample,
    tree: Tree,
    totals: dict[int, Totals],
    before: Before | None,
    memos: Memos,
) -> tuple[Container, ...]:
    limits, swap_limits = effective_limits(tree), effective_swap_limits(tree)
    rows = rank_all(tree, totals, before is not None, memos.rows)
    bound = lag_bound(sample)
    memos.containers.turn()
    return tuple(
        memos.containers.recall(
            cgroup.cgroup_id,
            _container,
            cgroup,
            cgroup.cgroup_id in tree.leaves,
            sample.cgroup_mode,
            limits[cgroup.cgroup_id],
            swap_limits[cgroup.cgroup_id],
            bound,
            totals[cgroup.cgroup_id],
            _past(cgroup, before),
            rows[cgroup.cgroup_id],
        )
        for cgroup in sample.cgroups
    )


def _container(
    cgroup: CgroupSample,
    leaf: bool,
    mode: str,
    limit: Limit,
    swap_limit: int | None,
    bound: int,
    totals: Totals,
    past: _Past,
    rows: Rows,
) -> Container:
    memory = figures(cgroup.memory, limit, swap_limit, mode, cgroup.parent_id is None)
    cache = page_cache.compare(totals, cgroup.memory, past.totals, past.memory)
    usage_before = past.memory.usage_bytes if past.memory else None
    file_before = past.memory.file_bytes if past.memory else None
    return Container(
        cgroup,
        leaf,
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


def _look_back(previous: Sample | None) -> Before | None:
    if previous is None:
        return None
    return Before(_by_id(previous), roll_up(grow(previous), Memo()))


def _by_id(sample: Sample) -> dict[int, CgroupSample]:
    return {cgroup.cgroup_id: cgroup for cgroup in sample.cgroups}


def _past(cgroup: CgroupSample, before: Before | None) -> _Past:
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
