"""Which cgroups read again what reclaim took from them: whose refaults are worth following by file.

Decides only, from the kernel's own count per cgroup; attaches nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from memtrace.collect.arming import Arming
from memtrace.samples import CgroupSample


class Thrashing:
    """`cgroups` are the ones to follow, the lowest of each branch: a count is hierarchical."""

    def __init__(self) -> None:
        self.cgroups: frozenset[int] = frozenset()
        self._counts: dict[int, int | None] = {}  # bytes refaulted, as of the sample before
        self._armings: dict[int, Arming] = {}  # of those that refaulted of late

    def note(self, made: Sequence[CgroupSample], now: float) -> None:
        """A new sample, taken at `now` (monotonic seconds)."""
        before = self._counts
        self._counts = counts = {
            cgroup.cgroup_id: cgroup.memory.refaulted_bytes
            for cgroup in made
            if cgroup.memory is not None
        }
        moved = {key for key, count in counts.items() if before.get(key, count) != count}
        if moved or self._armings:
            parents = {cgroup.cgroup_id: cgroup.parent_id for cgroup in made}
            self._step(moved | (self._armings.keys() & counts.keys()), before, now, parents)

    def _step(
        self,
        keys: set[int],
        before: dict[int, int | None],
        now: float,
        parents: dict[int, int | None],
    ) -> None:
        armings, self._armings = self._armings, {}
        armed = set()
        for key in keys:
            growth = (self._counts[key] or 0) - (before.get(key) or 0)
            arming = armings.get(key) or Arming()
            if arming.step(now, growth):
                armed.add(key)
            if growth or arming.armed:
                self._armings[key] = arming
        self.cgroups = frozenset(armed - {parents[key] for key in armed})
