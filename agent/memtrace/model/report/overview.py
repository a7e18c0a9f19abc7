"""First pass over a recording: the usage of every cgroup, what happened to it, what was lost.

Fed with snapshots in their order. What is in the list and who is looked at closely follows from it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from memtrace.model.deltas import newborn
from memtrace.model.remarks import baseline, features_off, leftovers, losses, unattributed
from memtrace.model.report.points import Columns
from memtrace.model.report.shapes import Event, Line
from memtrace.model.selection import display_name, faded, rows_of
from memtrace.model.shapes import Container, Snapshot
from memtrace.model.units import size
from memtrace.samples import Lost

SPARK = 60
MOST_EVENTS = 200
CLOSE = 5
"""How many containers are shown in full when none is asked for."""
_ATTENTION = ("warning", "critical")


class Overview:
    """Follows every cgroup of a recording of so many moments."""

    def __init__(self, moments: int) -> None:
        self._moments = moments
        self._number = -1
        self._usage: dict[int, Columns[int]] = {}
        self._first: dict[int, int] = {}
        self._last: dict[int, tuple[Container, float]] = {}
        self._limits: dict[int, int | None] = {}
        self._events: list[Event] = []
        self._lost: list[Lost] = []
        self._snapshot: Snapshot | None = None
        self.left_out = 0

    def add(self, snapshot: Snapshot, seconds: float, new_run: bool) -> None:
        """Take the next moment in. `new_run`: cumulative figures began anew."""
        self._number += 1
        self._lost = [*(self._lost if new_run else self._lost[:-1]), snapshot.lost]
        gone = self._running() - {
            c.source.cgroup_id for c in snapshot.containers if c.source.state == "running"
        }
        for container in snapshot.containers:
            self._note(container, seconds)
        for key in gone:
            self._removed(key, seconds)
        self._snapshot = snapshot

    @property
    def samples(self) -> int:
        """How many moments were taken in."""
        return self._number + 1

    def lines(self) -> tuple[Line, ...]:
        """Return all rows, those that rose most first."""
        rows = rows_of(self.everything().containers)
        lines = [self._line(row.source.cgroup_id) for row in rows if not self._long_gone(row)]
        return tuple(sorted(lines, key=lambda line: (-line.rise, display_name(line.container))))

    def everything(self) -> Snapshot:
        """Return the last snapshot, with every cgroup that ever was as it was at last."""
        assert self._snapshot is not None, "a recording has a sample"
        return self._snapshot._replace(containers=tuple(one for one, _ in self._last.values()))

    def events(self) -> tuple[Event, ...]:
        """Return what happened to containers, in order."""
        return tuple(self._events)

    def remarks(self) -> Iterator[str]:
        """Yield what has to be said of the recording as a whole."""
        if self._snapshot is None:
            return
        yield losses(_sum(self._lost))
        yield unattributed(rows_of(self._snapshot.containers))
        yield baseline(self._snapshot.baseline)
        yield from features_off(self._snapshot)
        gone = [row for row in rows_of(self.everything().containers) if self._long_gone(row)]
        if gone:
            yield leftovers(gone)
        if self.left_out:
            yield f"{self.left_out} more events are not listed"

    def _long_gone(self, container: Container) -> bool:
        """Tell whether it was removed before, and next to nothing of its cache was left."""
        return container.source.cgroup_id not in self._usage and faded(container)

    def _running(self) -> set[int]:
        found = self._snapshot.containers if self._snapshot else ()
        return {c.source.cgroup_id for c in found if c.source.state == "running"}

    def _note(self, container: Container, seconds: float) -> None:
        key, usage = container.source.cgroup_id, container.memory.usage_bytes
        if key not in self._last and self._number and newborn(container.source):
            self._event(Event(seconds, "began", key, display_name(container), "began"))
        if usage is None and key in self._last:
            return  # removed: what it was when it lived says more
        self._last[key] = (container, seconds)
        if usage is None:
            return
        self._first.setdefault(key, first_usage(container, self._number) or 0)
        if key not in self._usage:
            self._usage[key] = Columns(self._moments, int, SPARK)
        self._usage[key].add(self._number, usage)
        self._limited(container, seconds)

    def _limited(self, container: Container, seconds: float) -> None:
        key, limit = container.source.cgroup_id, container.memory.limit_bytes
        before = self._limits.get(key, limit)
        self._limits[key] = limit
        if before != limit:
            words = f"memory limit changed from {_limit(before)} to {_limit(limit)}"
            self._event(Event(seconds, "limit", key, display_name(container), words))

    def _removed(self, key: int, seconds: float) -> None:
        container = self._last[key][0]
        self._event(Event(seconds, "removed", key, display_name(container), "was removed"))

    def _event(self, event: Event) -> None:
        """Keep what concerns containers; units and sessions come and go all the time."""
        container = self._last.get(event.cgroup_id or 0)
        kind = container[0].source.identity.kind if container else "container"
        if kind in ("sandbox", "pod") or (event.kind == "began" and kind != "container"):
            return
        if len(self._events) < MOST_EVENTS:
            self._events.append(event)
        else:
            self.left_out += 1

    def _line(self, key: int) -> Line:
        container, seconds = self._last[key]
        usage = self._usage.get(key)
        shown = tuple(usage.filled()) if usage else ()
        peak = max((each for each in shown if each is not None), default=None)
        return Line(
            container, shown, self._first.get(key), container.memory.usage_bytes, peak, seconds
        )


def first_usage(container: Container, number: int) -> int | None:
    """Return what a cgroup began with that was first seen in the sample of that number."""
    born = number > 0 and newborn(container.source)
    return 0 if born else container.memory.usage_bytes


def chosen(
    lines: Sequence[Line], killed: Collection[int | None], most: int = CLOSE
) -> tuple[Container, ...]:
    """Return whom to look at closely: what was killed, needs attention, then what rose most."""

    def rank(line: Line) -> tuple[bool, bool]:
        container = line.container
        return (
            container.source.cgroup_id not in killed,
            container.verdict.severity not in _ATTENTION,
        )

    found = sorted(lines, key=rank)
    return tuple(line.container for line in found[:most] if line.rise or line.usage)


def _limit(amount: int | None) -> str:
    return "none" if amount is None else size(amount)


def _sum(lost: Sequence[Lost]) -> Lost:
    return Lost(
        sum(each.ring for each in lost),
        sum(each.map_full for each in lost),
        sum(each.recursion for each in lost),
        sum(each.names for each in lost),
        sum(each.netlink for each in lost),
    )
