"""The only way to a Snapshot: this sample, the one before it, and the time between.

Live and replay differ only in where samples come from. Wires the other files of
this package; computes nothing of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from memtrace.model import deltas, go, page_cache, slab, slab_culprits, stacks
from memtrace.model.course import Course
from memtrace.model.go_shapes import GoTable
from memtrace.model.known import Known, Setting, framed, limiting, moved
from memtrace.model.machine import machine
from memtrace.model.memory import Limit, figures
from memtrace.model.rows import Tables, joined_tables, own_tables, rows_of
from memtrace.model.shapes import Container, Snapshot
from memtrace.model.totals import Totals, add_up
from memtrace.model.verdict import judge
from memtrace.model.verdict.case import PENDING, Around, case_of, lag_bound
from memtrace.model.working_set import explain
from memtrace.samples import CgroupSample, Memory, Sample

Entry = TypeVar("Entry")
Courses = Mapping[int, Course]
NO_COURSES: Courses = MappingProxyType({})


class _Past(NamedTuple):
    """What one cgroup was at the previous sample; all None when that cannot be known."""

    totals: Totals | None
    memory: Memory | None


class _Since(NamedTuple):
    """Seconds since the previous sample, and how cgroups went that somebody followed."""

    elapsed: float | None
    courses: Courses


def snapshot(
    sample: Sample, previous: Sample | None, elapsed: float | None, courses: Courses = NO_COURSES
) -> Snapshot:
    """Return what `sample` means. `elapsed`: seconds since `previous`; both None at first.

    `courses`: how it came to that, of cgroups whose course was kept.
    """
    known = describe(previous, None, None)[1] if previous is not None else None
    return describe(sample, known, elapsed, courses)[0]


def describe(
    sample: Sample, known: Known | None, elapsed: float | None, courses: Courses = NO_COURSES
) -> tuple[Snapshot, Known]:
    """Return the snapshot, and what the next one can use of it.

    `known` is that of the sample before; what did not move since is not worked out again.
    """
    now = _work_out(sample, known, elapsed, courses)
    made = Snapshot(
        sample.time,
        elapsed if known is not None else None,
        sample.node,
        sample.cgroup_mode,
        sample.engine,
        sample.lost,
        sample.features,
        sample.baseline,
        tuple([now.containers[key] for key in now.cgroups]),
        sample.swap,
        sample.census,
        sample.slab_watch,
    )
    return made, now


def _work_out(
    sample: Sample, before: Known | None, elapsed: float | None, courses: Courses
) -> Known:
    cgroups = {cgroup.cgroup_id: cgroup for cgroup in sample.cgroups}
    setting = Setting(sample.cgroup_mode, lag_bound(sample), before is not None, machine(sample))
    frame = framed(cgroups, before)
    if before is None or setting != before.setting:
        now = Known(cgroups, setting, frame, {}, {}, {}, frozenset(cgroups), {}, {}, {}, {})
        due = now.moved
    else:
        now = Known(
            cgroups,
            setting,
            frame,
            _still(before.totals, cgroups),
            _still(before.tables, cgroups),
            _still(before.containers, cgroups),
            moved(cgroups, frame, before),
            _still(before.slabs, cgroups),
            _still(before.culprits, cgroups),
            _still(before.go, cgroups),
            _still(before.stacks, cgroups),
        )
        due = now.moved | before.moved  # what moved the last time has other deltas by now
    _fill(now, due, before, _Since(elapsed, courses))
    return now


def _still(table: Mapping[int, Entry], here: Collection[int]) -> dict[int, Entry]:
    """Return a copy without those that are gone."""
    return {key: entry for key, entry in table.items() if key in here}


def _fill(now: Known, due: frozenset[int], before: Known | None, since: _Since) -> None:
    """Work out what is due, lowest first."""
    tree = now.frame.tree
    for key in reversed(tree.top_down):
        if key not in due:
            continue
        below = tree.children.get(key, ())
        now.totals[key] = add_up(now.cgroups[key].ledger, [now.totals[child] for child in below])
        now.tables[key] = _tables(now, key, [now.tables[child] for child in below])
        now.slabs[key] = slab.joined(now.cgroups[key].slab, [now.slabs[child] for child in below])
        own = slab_culprits.own_table(now.cgroups[key].culprits)
        joined = slab_culprits.joined_table([own, *[now.culprits[child] for child in below]])
        now.culprits[key] = joined
        now.go[key] = _go(now, key, before, since.elapsed)
        now.stacks[key] = stacks.joined(
            now.cgroups[key].stacks, [now.stacks[child] for child in below]
        )
        now.containers[key] = _container(now, key, _past(now.cgroups[key], before), since)


def _tables(now: Known, key: int, below: list[Tables]) -> Tables:
    cgroup = now.cgroups[key]
    alone = own_tables(cgroup.ledger, cgroup.path, now.setting.deltas_known)
    return joined_tables([alone, *below]) if below else alone


def _go(now: Known, key: int, before: Known | None, elapsed: float | None) -> GoTable | None:
    earlier = None if before is None else before.cgroups.get(key)
    limited = limiting(key, now.cgroups, now.frame)
    memory = None if limited is None else now.cgroups[limited].memory
    bound = go.Bound(now.frame.limits[key][0], memory)
    own = go.own_rows(now.cgroups[key], earlier, elapsed, bound)
    return go.joined(own, [now.go[child] for child in now.frame.tree.children.get(key, ())])


def _container(now: Known, key: int, past: _Past, since: _Since) -> Container:
    cgroup, totals = now.cgroups[key], now.totals[key]
    rows = rows_of(now.tables[key], totals)
    limits: tuple[Limit, int | None] = now.frame.limits[key], now.frame.swap_limits[key]
    memory = figures(cgroup.memory, *limits, now.setting.mode, cgroup.parent_id is None)
    explained = explain(cgroup.memory)
    cache = page_cache.compare(totals, cgroup.memory, past.totals, past.memory)
    culprits = slab_culprits.describe(cgroup, now.culprits[key])
    counted = slab.figures(now.slabs[key], cgroup.memory, now.setting.mode, culprits)
    usage_before = past.memory.usage_bytes if past.memory else None
    file_before = past.memory.file_bytes if past.memory else None
    made = Container(
        cgroup,
        key in now.frame.tree.leaves,
        memory,
        explained,
        cache,
        deltas.gauge(memory.usage_bytes, usage_before),
        deltas.gauge(memory.file_bytes, file_before),
        totals.added,
        _kind_deltas(totals, past.totals),
        totals.removed,
        rows,
        PENDING,
        counted,
        culprits,
        now.go[key],
        now.stacks[key],
    )
    setting, course = now.setting, since.courses.get(key)
    rest = _rest_before(past)
    around = Around(setting.bound, since.elapsed, rest, course, setting.machine, setting.mode)
    return made._replace(verdict=judge(case_of(made, around)))


def _rest_before(past: _Past) -> int | None:
    """Return what was unattributed at the previous sample."""
    attributed = past.totals.attributed_bytes if past.totals else None
    file = past.memory.file_bytes if past.memory else None
    return deltas.gauge(file, attributed)


def _past(cgroup: CgroupSample, before: Known | None) -> _Past:
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
