"""Adds up collections of Go programs by cgroup, so that figures outlive the processes.

What belongs to one process is counted in go_processes.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from memtrace.collect.go_cycles import GoCycle
from memtrace.samples import PAUSE_BOUNDS, GoCollected

MAX_CGROUPS = 16_384
_NANO = 1e-9
_NONE = GoCollected((0,) * (len(PAUSE_BOUNDS) + 1), 0.0, 0, 0.0)


class Collected:
    """Give it every collection once; `of` is what there was in a cgroup alone."""

    def __init__(self) -> None:
        self._of: dict[int, GoCollected] = {}

    def count(self, cycles: Iterable[GoCycle]) -> None:
        """Add these. Cgroups beyond MAX_CGROUPS are not counted."""
        for cycle in cycles:
            if cycle.cgroup_id in self._of or len(self._of) < MAX_CGROUPS:
                before = self._of.get(cycle.cgroup_id, _NONE)
                self._of[cycle.cgroup_id] = _added(before, cycle)

    def of(self, cgroup: int) -> GoCollected | None:
        """All so far; None: no collection was told. The same object when there was no other."""
        return self._of.get(cgroup)

    def forget(self, cgroup: int) -> None:
        """The cgroup is gone."""
        self._of.pop(cgroup, None)


def _added(before: GoCollected, cycle: GoCycle) -> GoCollected:
    counts = list(before.pauses)
    pauses = [cycle.first_pause_ns * _NANO, cycle.last_pause_ns * _NANO]
    for pause in pauses:
        counts[bisect_left(PAUSE_BOUNDS, pause)] += 1
    cpu = None
    if before.cpu_seconds is not None and cycle.cpu_ns is not None:
        cpu = before.cpu_seconds + cycle.cpu_ns * _NANO
    seconds = before.pause_seconds + sum(pauses)
    return GoCollected(tuple(counts), seconds, before.cycles + 1, cpu)
