"""Watches who has kernel objects allocated, while kernel memory grows: attaches, reads, detaches.

When is arming.py's decision; whose is slab_culprits.py's table. Growth that nobody
watched is counted here, because it has no culprit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from memtrace.collect.arming import Arming
from memtrace.collect.slab_culprits import UNNAMED, CgroupCulprits, Comm, Who
from memtrace.kernel import wire
from memtrace.kernel.errors import BpfError
from memtrace.kernel.slab_probe import Cache, SlabProbe
from memtrace.samples import Feature, Memory, SlabCulprits, SlabWatch

CROWDED = wire.SLAB_ROWS // 2
"""Rows in the kernel from which on those that stood still since the last look are given up."""


class Watchable(Protocol):
    """What of a Session is needed here."""

    def watch_slab(self) -> SlabProbe:
        """Attach."""


class _Cgroup:
    """What is known of one cgroup. `figure`: its kernel memory as of the last sample."""

    __slots__ = ("culprits", "figure", "made", "memory", "unwatched")

    def __init__(self) -> None:
        self.memory: Memory | None = None
        self.figure: int | None = None
        self.unwatched: int | None = None
        self.culprits = CgroupCulprits()
        self.made = SlabCulprits()


class SlabWatcher:
    """By cgroup id. `requested` watches whatever happens; `feature` says whether it can.

    `machine`: bytes of reclaimable slab of the whole machine, or None. Asked only where cgroups
    do not tell theirs.
    """

    def __init__(
        self,
        session: Watchable,
        feature: Feature,
        comm: Comm,
        machine: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.feature = feature
        self._session = session
        self._comm = comm
        self._arming = Arming()
        self._probe: SlabProbe | None = None
        self._counted: dict[bytes, int] = {}
        self._caches: dict[int, Cache] = {}
        self._cgroups: dict[int, _Cgroup] = {}
        self._machine = machine
        self._reclaimable: int | None = None  # of the machine, as of the decision before
        self._growth = 0
        self._slab_is_told = True
        self._since: float | None = None

    def request(self, wanted: bool) -> None:
        """Watch from the next sample on whether or not anything grows, or only when it does."""
        self._arming.requested = wanted

    @property
    def state(self) -> SlabWatch:
        """For the sample."""
        return SlabWatch(self._probe is not None, self._since)

    def gather(self) -> None:
        """Read what was allocated since the last time; cheap while nothing is attached."""
        probe = self._probe
        if probe is None:
            return
        rows = list(probe.rows())
        for row, objects in rows:
            before = self._counted.get(row, 0)
            if objects != before:
                self._count(probe, row, objects - before)
                self._counted[row] = objects
            elif len(rows) > CROWDED:
                probe.forget(row)
                del self._counted[row]

    def of(self, cgroup: int, memory: Memory | None, born: bool, root: bool) -> SlabCulprits:
        """One cgroup's part of the sample, the very same while nothing changed.

        `born` while memtrace watched: it started from nothing. The root's figure holds what
        no cgroup pays for, so it arms nothing.
        """
        known = self._known(cgroup)
        if memory is not known.memory:
            known.memory = memory
            growth = self._note(known, self._figure(memory), born)
            self._growth = max(self._growth, 0 if root else growth)
        culprits, made = known.culprits, known.made
        if culprits.changed:
            rows = culprits.rows(self._comm)
            known.made = SlabCulprits(rows, culprits.allocated, known.unwatched)
        elif made.unwatched_bytes != known.unwatched:
            known.made = replace(made, unwatched_bytes=known.unwatched)
        return known.made

    def news(self, cgroup: int) -> bool:
        """Whether `of` may tell something else than before, with the same memory."""
        known = self._cgroups.get(cgroup)
        return known is None or known.culprits.changed

    def decide(self, monotonic: float, now: float) -> None:
        """All cgroups were looked at: watch from here on, or no longer."""
        growth, self._growth = self._growth, 0
        if not self.feature.enabled:
            return
        if self._arming.step(monotonic, growth if self._slab_is_told else self._capped(growth)):
            self._attach(now)
        else:
            self.close()

    def fold(self, cgroup: int, parent: int | None) -> None:
        """The kernel released a cgroup: what it still pays for is its parent's."""
        left = self._cgroups.pop(cgroup, None)
        if left is not None and parent is not None and left.culprits.allocated:
            self._known(parent).culprits.take(left.culprits)

    def close(self) -> None:
        """Detach; what was counted stays. May be called twice."""
        if self._probe is not None:
            self.gather()
            self._probe.close()
        self._probe = None
        self._counted.clear()
        self._caches.clear()

    def _capped(self, growth: int) -> int:
        """A cgroup's kernel memory grew, of any kind: its slab by no more than all slab did."""
        before, self._reclaimable = self._reclaimable, self._machine()
        if before is None or self._reclaimable is None:
            return growth
        return min(growth, self._reclaimable - before)

    def _figure(self, memory: Memory | None) -> int | None:
        """Reclaimable slab; on cgroup v1, which does not tell slab, all kernel memory."""
        if memory is None:
            return None
        self._slab_is_told = memory.slab_reclaimable_bytes is not None
        return memory.slab_reclaimable_bytes if self._slab_is_told else memory.kernel_bytes

    def _attach(self, now: float) -> None:
        if self._probe is not None:
            return
        try:
            self._probe = self._session.watch_slab()
        except BpfError as error:
            self.feature = Feature(False, f"the kernel refused to watch allocations: {error}")
            return
        self._since = self._since or now

    def _known(self, cgroup: int) -> _Cgroup:
        known = self._cgroups.get(cgroup)
        if known is None:
            known = self._cgroups[cgroup] = _Cgroup()
        return known

    def _note(self, known: _Cgroup, now: int | None, born: bool) -> int:
        """By how much the figure grew; what nobody watched, the first figure too, is added up."""
        if now is None:
            return 0
        before = known.figure
        if before is None:
            before = known.unwatched = 0 if born else now
        known.figure = now
        if self._probe is None:
            known.unwatched = max(0, (known.unwatched or 0) + now - before)
        return now - before

    def _count(self, probe: SlabProbe, row: bytes, objects: int) -> None:
        cgroup, address, process, syscall, compat = wire.SLAB_KEY.unpack(row)
        cache = self._caches.get(address)
        if cache is None:
            told = probe.cache(address)
            cache = self._caches[address] = told or Cache(None, 0)
        who = Who(cache.name or UNNAMED, process, syscall, compat)
        self._known(cgroup).culprits.add(who, objects, cache.bytes)
