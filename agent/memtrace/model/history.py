"""How the usage of each cgroup went: the last samples, and the growth since memtrace watches.

Pure: fed one Snapshot after another, live or from a recording. Keeps LENGTH samples of each
cgroup that is still listed, and forgets the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from memtrace.model import deltas
from memtrace.model.shapes import Snapshot
from memtrace.samples import CgroupSample

LENGTH = 120


class Trend(NamedTuple):
    """Usage in bytes, oldest first, None where it was unknown.

    `end` counts the samples taken so far of anything: the number of the last one here, so
    that a chart can keep its columns where they are. `since_start_bytes` is the change since
    the cgroup was first seen; what was born while memtrace watched started from nothing.
    """

    usage: tuple[int | None, ...] = ()
    end: int = 0
    since_start_bytes: int | None = None


NO_TREND = Trend()
Trends = Mapping[int, Trend]


class History:
    """Follows one source of snapshots."""

    def __init__(self) -> None:
        self._rings: dict[int, deque[int | None]] = {}
        self._first: dict[int, int | None] = {}
        self._count = 0

    def add(self, snapshot: Snapshot) -> Trends:
        """Return the trends by cgroup id, this snapshot included; what is returned stays as is."""
        self.note(container.source for container in snapshot.containers)
        return {key: self._trend(key) for key in self._rings}

    def note(self, cgroups: Iterable[CgroupSample], left_out: int = 0) -> None:
        """Take one moment in of which no trend is wanted, after `left_out` that were not told."""
        self._count += left_out + 1
        rings = {cgroup.cgroup_id: self._ring(cgroup) for cgroup in cgroups}
        self._first = {key: first for key, first in self._first.items() if key in rings}
        self._rings = rings

    def _ring(self, cgroup: CgroupSample) -> deque[int | None]:
        key, usage = cgroup.cgroup_id, cgroup.memory.usage_bytes if cgroup.memory else None
        ring = self._rings.get(key)
        if ring is None:
            ring = deque(maxlen=LENGTH)
            born = self._count > 1 and deltas.newborn(cgroup)
            self._first[key] = 0 if born else usage
        ring.append(usage)
        return ring

    def _trend(self, key: int) -> Trend:
        usage = tuple(self._rings[key])
        return Trend(usage, self._count, deltas.gauge(usage[-1], self._first[key]))
