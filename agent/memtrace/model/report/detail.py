"""Second pass over a recording, for few cgroups: composition, causes of growth, Go programs.

Fed with snapshots in their order. What was added is the sum of what each sample tells of the
time since the one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from memtrace.model.deltas import counter
from memtrace.model.go_shapes import GoRow
from memtrace.model.observation import observe
from memtrace.model.report.overview import first_usage
from memtrace.model.report.parts import of_memory
from memtrace.model.report.points import Columns
from memtrace.model.report.shapes import (
    Detail,
    Doer,
    Event,
    Gap,
    GoLine,
    GoPoint,
    Grown,
    Point,
)
from memtrace.model.shapes import Container, Snapshot
from memtrace.model.words import target
from memtrace.samples import KINDS, CgroupSample, DriverRow, ProcessRow, Sample

ROWS = 10
LITTLE = 0.5
"""Of the peak: below it the end says little about what went on."""
GO_PROGRAMS = 3
_MOST_CAUSES = 20_000
_KEPT_CAUSES = 10_000


class Close:
    """Follows one cgroup with all below it."""

    def __init__(self, container: Container, moments: int) -> None:
        self._container = container
        self._verdict, self._judged = container.verdict, 0.0
        self._last = (0, 0.0)
        self._peak: tuple[int, Point] | None = None
        self._first: int | None = None
        self._moments = moments
        self._points: Columns[Point] = Columns(moments, lambda point: point.usage or 0)
        self._kinds = [0] * len(KINDS)
        self._causes = _Causes()
        self._peaks: dict[str | None, int] = {}
        self._go: dict[tuple[int, int], _Go] = {}

    def add(self, snapshot: Snapshot, number: int, seconds: float) -> None:
        """Take the moment with that number in."""
        here = self._container.source
        found = next((c for c in snapshot.containers if c.source.cgroup_id == here.cgroup_id), None)
        if found is None:
            return
        if number:
            self._note_growth(found, (c.source for c in snapshot.containers))
        if found.memory.usage_bytes is None:
            return
        if self._first is None:
            self._first = first_usage(found, number)
        self._container, self._last = found, (number, seconds)
        point = _point(found, seconds, snapshot.cgroup_mode)
        self._points.add(number, point)
        if self._peak is None or (point.usage or 0) >= (self._peak[1].usage or 0):
            self._peak = (number, point)
        for process in found.rows.processes:
            self._note_peak(process.row)
        for row in found.go.rows if found.go else ():
            self._note_go(row, number, seconds)

    @property
    def telling_number(self) -> int:
        """The sample to be judged by: the last one, or that of the peak where little is left."""
        last, peak = self._container.memory.usage_bytes or 0, self._peak
        fell = peak is not None and last < LITTLE * (peak[1].usage or 0)
        return peak[0] if peak is not None and fell else self._last[0]

    def judge(self, samples: Sequence[Sample], seconds: float) -> None:
        """Weigh it by these samples; the last is that of `telling_number`, at `seconds`."""
        seen = observe(samples, self._container.source.cgroup_id)
        if seen is not None:
            self._verdict, self._judged = seen.container.verdict, seconds

    def detail(self, gaps: Sequence[Gap], events: Iterable[Event]) -> Detail:
        """Return all of it."""
        container = self._container
        grown, other = self._causes.largest()
        kinds = [(kind, each) for kind, each in zip(KINDS, self._kinds, strict=True) if each]
        return Detail(
            container,
            self._verdict,
            self._judged,
            self._last[1],
            self._first,
            tuple(map(tuple, self._points.runs(lambda point: point.seconds, gaps))),
            self._peak[1] if self._peak else None,
            tuple(sorted(kinds, key=lambda each: -each[1])),
            grown,
            max(0, other),
            container.rows.files[:ROWS],
            self._causes.doers(self._peaks),
            self._go_lines(gaps),
            tuple(event for event in events if event.cgroup_id == container.source.cgroup_id),
        )

    def _note_growth(self, found: Container, cgroups: Iterable[CgroupSample]) -> None:
        for place, delta in enumerate(found.added_deltas):
            self._kinds[place] += delta or 0
        self._causes.total = sum(self._kinds)
        here = found.source.path.rstrip("/")
        for cgroup in cgroups:
            if f"{cgroup.path}/".startswith(f"{here}/"):
                self._causes.add(cgroup.ledger.drivers)

    def _note_peak(self, row: ProcessRow) -> None:
        if row.peak_rss_bytes is not None:
            known = self._peaks.get(row.comm, 0)
            self._peaks[row.comm] = max(known, row.peak_rss_bytes)

    def _note_go(self, row: GoRow, number: int, seconds: float) -> None:
        key = (row.process.pid, row.process.start)
        if row.process.heap is not None:
            self._go.setdefault(key, _Go(self._moments)).add(row, number, seconds)

    def _go_lines(self, gaps: Sequence[Gap]) -> tuple[GoLine, ...]:
        largest = sorted(self._go.values(), key=lambda each: -each.peak)[:GO_PROGRAMS]
        return tuple(each.line(gaps) for each in largest)


class _Cause(NamedTuple):
    row: DriverRow
    added: int


class _Causes:
    """Sums of what each process put of each file into the cache; the small ones may be dropped."""

    def __init__(self) -> None:
        self._sums: dict[tuple[object, ...], _Cause] = {}
        self.total = 0

    def add(self, rows: Iterable[DriverRow]) -> None:
        for row in rows:
            if row.recent_bytes:
                key = (row.file, row.tgid, row.kind)
                before = self._sums.get(key)
                self._sums[key] = _Cause(row, row.recent_bytes + (before.added if before else 0))
        if len(self._sums) > _MOST_CAUSES:
            ordered = sorted(self._sums.items(), key=lambda item: -item[1].added)
            self._sums = dict(ordered[:_KEPT_CAUSES])

    def largest(self) -> tuple[tuple[Grown, ...], int]:
        """Return the largest, like with like, and what all others added."""
        like: dict[tuple[object, ...], Grown] = {}
        for cause in self._sums.values():
            row = cause.row
            key = (row.kind, row.comm, target(row))
            same = like.get(key, Grown(row, 0, 0))
            like[key] = Grown(row, same.added + cause.added, same.times + 1)
        rows = sorted(like.values(), key=lambda each: -each.added)[:ROWS]
        return tuple(rows), self.total - sum(row.added for row in rows)

    def doers(self, peaks: Mapping[str | None, int]) -> tuple[Doer, ...]:
        """Return who added most, by the name of the process."""
        added: dict[str | None, int] = {}
        processes: dict[str | None, set[int]] = {}
        for row, amount in self._sums.values():
            added[row.comm] = added.get(row.comm, 0) + amount
            processes.setdefault(row.comm, set()).add(row.tgid)
        names = sorted(added, key=lambda comm: -added[comm])[:ROWS]
        return tuple(Doer(n, added[n], len(processes[n]), peaks.get(n)) for n in names)


class _Go:
    """Follows one Go program."""

    def __init__(self, moments: int) -> None:
        self._columns: Columns[tuple[GoPoint, int | None]] = Columns(
            moments, lambda each: each[0].live
        )
        self._last: GoRow | None = None
        self.peak = 0

    def add(self, row: GoRow, number: int, seconds: float) -> None:
        """Take one moment in; `age_seconds` ago is when it was like that."""
        heap = row.process.heap
        if heap is None:
            return
        self._last, self.peak = row, max(self.peak, heap.heap_in_use_bytes)
        point = GoPoint(
            seconds,
            heap.heap_live_bytes,
            heap.heap_in_use_bytes,
            heap.heap_goal_bytes,
            heap.gomemlimit_bytes,
            None,
        )
        self._columns.add(number, (point, heap.gc_cycles))

    def line(self, gaps: Sequence[Gap]) -> GoLine:
        """Return the program over time, with the collections between one point and the next."""
        last = self._last
        assert last is not None, "made with its first row"
        process, heap = last.process, last.process.heap
        return GoLine(
            process.pid,
            process.comm,
            process.version,
            process.main,
            heap.gogc if heap else None,
            heap.gomaxprocs if heap else None,
            process.cpu_quota,
            last.beside.limit_bytes,
            tuple(map(_counted, self._columns.runs(lambda each: each[0].seconds, gaps))),
            last.remarks,
        )


def _counted(run: Sequence[tuple[GoPoint, int | None]]) -> tuple[GoPoint, ...]:
    found: list[GoPoint] = []
    before: int | None = None
    for point, cycles in run:
        found.append(point._replace(cycles=counter(cycles, before)))
        before = cycles
    return tuple(found)


def _point(container: Container, seconds: float, mode: str) -> Point:
    memory, source = container.memory, container.source
    assert source.memory is not None, "it has usage"
    return Point(
        seconds,
        memory.usage_bytes,
        memory.limit_bytes,
        memory.swap_bytes,
        of_memory(source.memory, mode, source.parent_id is None),
    )
