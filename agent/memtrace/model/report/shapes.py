"""What a report is made of: immutable rows for views to draw. Computes nothing.

Amounts are bytes, None is unknown. Times are seconds from the beginning of the report, `time`
is the clock on the wall.
"""

from __future__ import annotations

from typing import NamedTuple

from memtrace.model.shapes import Container, File, Verdict
from memtrace.samples import DriverRow


class Parts(NamedTuple):
    """What memory in use consists of, without overlap; what can be given back comes last.

    `slab` is None where kernel memory is not told apart; it is all in `kernel` then. `rest` is
    usage that is in none of the others.
    """

    anon: int | None = None
    shmem: int | None = None
    kernel: int | None = None
    slab: int | None = None
    sock: int | None = None
    rest: int | None = None
    unwritten: int | None = None
    clean: int | None = None


class Point(NamedTuple):
    """One cgroup at one sample. `limit` is the effective one."""

    seconds: float
    usage: int | None
    limit: int | None
    swap: int | None
    parts: Parts


class GoPoint(NamedTuple):
    """One Go program at one sample; `cycles` are collections since the point before."""

    seconds: float
    live: int
    in_use: int
    goal: int
    gomemlimit: int | None
    cycles: int | None


class GoLine(NamedTuple):
    """One Go program over time. `limit`: the memory limit of its container at last."""

    pid: int
    comm: str | None
    version: str | None
    main: str | None
    gogc: int | None
    gomaxprocs: int | None
    cpu_quota: float | None
    limit: int | None
    runs: tuple[tuple[GoPoint, ...], ...]
    remarks: tuple[str, ...] = ()


class Grown(NamedTuple):
    """One kind of I/O by processes of one name on one file, and what it added in this time.

    `row` is one of those who did it, `times` of how many.
    """

    row: DriverRow
    added: int
    times: int


class Doer(NamedTuple):
    """Processes of one name and what they added in this time; `times`: of how many.

    `peak_rss` is the largest that is known of one of them.
    """

    comm: str | None
    added: int
    times: int
    peak_rss: int | None


class Event(NamedTuple):
    """Something that happened to a cgroup. `kind`: oom, removed, began or limit."""

    seconds: float
    kind: str
    cgroup_id: int | None
    who: str
    text: str


class Gap(NamedTuple):
    """A stretch without samples."""

    begin: float
    end: float
    reason: str


class Line(NamedTuple):
    """The usage of one cgroup in the list: `usage` in equal steps, None where it is unknown.

    `first`: at the beginning; what began later began with nothing.
    """

    container: Container
    usage: tuple[int | None, ...]
    first: int | None
    last: int | None
    peak: int | None
    last_seconds: float

    @property
    def rise(self) -> int:
        """How far it went up from where it began; 0 when unknown."""
        return 0 if self.peak is None or self.first is None else self.peak - self.first


class Detail(NamedTuple):
    """One cgroup in full. `container` is what it was when it was last there, `first` its usage
    at the beginning. `verdict` is of `judged_seconds`: the end, or the peak.

    `runs` are points without anything missing between them. `kinds` are additions to the page
    cache by kind of I/O. `grown_other` is what the rows of `grown` do not list.
    """

    container: Container
    verdict: Verdict
    judged_seconds: float
    last_seconds: float
    first: int | None
    runs: tuple[tuple[Point, ...], ...]
    peak: Point | None
    kinds: tuple[tuple[str, int], ...]
    grown: tuple[Grown, ...]
    grown_other: int
    files: tuple[File, ...]
    doers: tuple[Doer, ...]
    go: tuple[GoLine, ...]
    events: tuple[Event, ...]


class Report(NamedTuple):
    """A recording, or a part of it. `begin` is the wall clock of second 0.

    `lines` are all cgroups that are rows, those that rose most first.
    `remarks` are sentences: losses, what was off, what is not attributed.
    """

    node: str
    cgroup_mode: str
    engine: str
    begin: float
    seconds: float
    samples: int
    lines: tuple[Line, ...]
    details: tuple[Detail, ...]
    events: tuple[Event, ...]
    gaps: tuple[Gap, ...]
    remarks: tuple[str, ...]
