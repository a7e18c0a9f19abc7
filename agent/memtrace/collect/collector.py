"""Builds Samples: gathers the kernel's interval ledgers, names things, reads memory.stat.

The only place where time enters. Owns all accumulated state; a Sample shares none
of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from memtrace.collect.baseline import Baseline, Progress
from memtrace.collect.census import CensusProgress, SlabCensus
from memtrace.collect.cgroup_samples import CgroupSamples
from memtrace.collect.cgroups import CgroupTree, Node
from memtrace.collect.container_paths import ContainerPaths
from memtrace.collect.gathering import Gathering
from memtrace.collect.go_later import LaterGo
from memtrace.collect.kernel_events import KernelEvents
from memtrace.collect.namer import Namer
from memtrace.collect.names import Names
from memtrace.collect.processes import ShownProcesses
from memtrace.collect.removed_owners import forget_folded
from memtrace.collect.rows import shown_processes
from memtrace.collect.shmem import ShmemCheck
from memtrace.collect.slab_watch import SlabWatcher
from memtrace.collect.watches.on_demand import Cgroups
from memtrace.collect.watches.watching import Watching
from memtrace.host.cgroupfs import CgroupReader
from memtrace.host.container_mounts import ContainerMounts
from memtrace.host.file_handles import FileHandles
from memtrace.host.hierarchy import Hierarchy
from memtrace.host.identity import Resolver
from memtrace.host.lru import drain_batches
from memtrace.host.meminfo import read_meminfo
from memtrace.host.procfs import node_name
from memtrace.host.tombstones import Tombstones
from memtrace.kernel import wire
from memtrace.kernel.plan import SLAB_CENSUS, OnDemand
from memtrace.kernel.session import OBJECTS, Session
from memtrace.samples import (
    BaselineState,
    CgroupSample,
    Feature,
    Identity,
    Lost,
    Sample,
)

REPAIR_SECONDS = 20.0
CENSUS_GATHER_SECONDS = 0.5
DISK_FILE = OBJECTS / "page_cache.bpf.o"
LAG_SECONDS = 5.0
"""How long memory.stat may lag behind an event (seen: under 3 s): read it fully until then."""


@dataclass(slots=True)
class BaselineTimes:
    """When the baseline was taken (monotonic) and what it cost (seconds of wall time)."""

    taken_at: float | None = None
    cost: float | None = None
    reason: str = ""


class Collector:
    """One running collection. Methods raise BpfError when the kernel refuses a read."""

    def __init__(
        self,
        session: Session,
        hierarchy: Hierarchy,
        features: dict[str, Feature],
        root: Path,
        can_walk: bool,
        tombstones: Tombstones | None = None,
        on_demand: Mapping[str, OnDemand] = MappingProxyType({}),
        many_uprobes: bool = False,
    ) -> None:
        self._session = session
        self._root = root
        self._hierarchy = hierarchy
        self._processes = ShownProcesses(root)
        self._features = {**features, "taskstats": self._processes.feature}
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._names = Names(root, self._forget_name, self._shown_processes)
        self._inside = ContainerPaths(
            self._names, ContainerMounts(root, hierarchy, self._names.mounts)
        )
        self._tombstones = tombstones
        self._resolver = Resolver(root, tombstones=tombstones)
        self._reader = CgroupReader(hierarchy)
        self._census = SlabCensus(features.get(SLAB_CENSUS, Feature(False, "not asked for")), root)
        can_watch = features.get("slab_culprits", Feature(False, "not planned"))
        self._allocations = SlabWatcher(
            session, can_watch, self._names.comm, lambda: self._meminfo.reclaimable_slab
        )
        self._tree = CgroupTree(hierarchy, self._released)
        self._watching = Watching(
            session, on_demand, self._names, self._resolver, self._tree.nodes, self._page, root
        )
        self._events = KernelEvents(
            session,
            self._names,
            self._processes,
            self._tree,
            self._resolver,
            tombstones,
            self._page,
        )
        self._go = LaterGo(root, hierarchy, self._paths, features, many_uprobes)
        self._cgroups = CgroupSamples(
            self._resolver,
            self._reader,
            self._names,
            self._inside,
            self._processes,
            self._watching,
            self._page,
            self._census.of,
            self._allocations,
            self._go.of,
            self._go.collected,
        )
        self._baseline = Baseline(session, self._tree, self.gather)
        self._namer = Namer(
            self._names,
            self._tree,
            FileHandles(root, self._names.mounts),
            self._baseline if can_walk else None,
            self._events.drain,
        )
        self._shmem = ShmemCheck(
            session,
            self._tree,
            self._baseline,
            self.gather,
            lambda: drain_batches(DISK_FILE),
            can_walk,
        )
        self._gathering = Gathering(
            session,
            self._tree,
            self._events,
            self._baseline,
            self._shmem,
            self._watching.gather,
            (self._allocations.gather, self._go.gather),
        )
        self._times = BaselineTimes()
        self._node = node_name()
        self._meminfo = read_meminfo(root)  # as of the sample
        self._repaired = time.monotonic()
        for node in reversed(self._tree.in_order()):  # a pod is named by what is below it
            self._resolver.resolve(node.id, node.path)
        self._events.drain()

    def gather(self) -> None:
        """Empty the kernel's interval ledger and event ring into the accumulated state."""
        self._gathering.gather()

    @property
    def gathering(self) -> Gathering:
        """How much was gathered."""
        return self._gathering

    def take_baseline(self, progress: Progress | None = None) -> None:
        """Walk all cached files; the samples from here on know what was there before."""
        started = time.monotonic()
        self._baseline.take(progress)
        self._times = BaselineTimes(time.monotonic(), time.monotonic() - started)

    def take_census(self, progress: CensusProgress | None = None) -> None:
        """Count every kernel object; the samples from here on say what each cgroup holds."""
        self._census.take(self._tree.nodes, self._while_gathering(progress))

    def census_age(self) -> tuple[float | None, float]:
        """Seconds since the last census (None: there was none), and how many it took."""
        state = self._census.state
        return state.age_seconds, state.cost_seconds or 0.0

    def _while_gathering(self, progress: CensusProgress | None) -> CensusProgress:
        """A progress that empties the kernel's ledgers, too: with much memory it takes seconds."""
        gathered = time.monotonic()

        def tell(done: float) -> None:
            nonlocal gathered
            if time.monotonic() - gathered > CENSUS_GATHER_SECONDS:
                self.gather()
                gathered = time.monotonic()
            if progress:
                progress(done)

        return tell

    def refuse_baseline(self, reason: str) -> None:
        """Say in every sample why there is no baseline."""
        self._times = BaselineTimes(reason=reason)

    def watch(self, names: frozenset[str], cgroups: Cgroups) -> None:
        """Have these watched on demand for these cgroups and all below; nothing else."""
        self._watching.watch(names, cgroups)

    def watch_allocations(self, wanted: bool) -> None:
        """Watch who has kernel objects allocated whether they grow or not, or only then."""
        self._allocations.request(wanted)

    @property
    def attached_on_demand(self) -> tuple[str, ...]:
        """The programs that are attached because somebody watches."""
        return self._watching.attached()

    def sample(self) -> Sample:
        """Everything as of now. Rows' `recent_bytes` count from the sample before."""
        self._housekeeping()
        self.gather()
        self._baseline.settle()
        self._shmem.check()
        self._gathering.take_totals()  # after the last gather: totals are never behind the rows
        changed = [node for node in self._tree.nodes.values() if node.ledger.changed]
        self._mark_active(changed)
        self._events.tell_renamed()
        self._namer.check(changed, self._cgroups.ledgers)
        self._inside.retry(self._tree.nodes)
        self._processes.begin(time.monotonic())
        self._go.look(time.monotonic())
        self._meminfo = read_meminfo(self._root)
        made = Sample(
            time=time.time(),
            monotonic=time.monotonic(),
            node=self._node,
            cgroup_mode=self._hierarchy.mode,
            engine=self._session.engine,
            cgroups=self._sample_cgroups(),
            lost=self._lost(),
            features=self._all_features(),
            baseline=self._baseline_state(),
            cpus=os.cpu_count(),
            page_bytes=self._page,
            swap=self._meminfo.swap,
            census=self._census.state,
            slab_watch=self._allocations.state,
            machine_bytes=self._meminfo.total,
            machine_free_bytes=self._meminfo.free,
        )
        self._end_interval()
        self._watching.note(made.cgroups, made.monotonic)
        if self._tombstones is not None:
            self._tombstones.save(self._tree.nodes.keys(), made.time)
        return made

    def _paths(self) -> list[str]:
        return [node.path for node in self._tree.nodes.values()]

    @property
    def go(self) -> LaterGo:
        """The Go processes."""
        return self._go

    def identity(self, cgroup_id: int, path: str) -> Identity:
        """Who is or was behind a cgroup, also when it is gone by now."""
        return self._resolver.recall(cgroup_id, path)

    def close(self) -> None:
        """Release descriptors. The session is its owner's."""
        self._reader.close()
        self._processes.close()
        self._go.close()
        if self._tombstones is not None:
            self._tombstones.save(self._tree.nodes.keys(), time.time(), at_once=True)

    def _forget_name(self, file: bytes) -> None:
        self._namer.forget(file)
        self._session.forget_file(file)

    def _released(self, node: Node) -> None:
        for forget in (
            self._cgroups.forget,
            self._resolver.forget,
            self._reader.forget,
            self._session.drop_total,
            self._processes.forget,
            self._inside.forget,
            self._watching.forget,
            self._go.forget,
        ):
            forget(node.id)
        self._allocations.fold(node.id, node.parent)

    # --- telling ---

    def _housekeeping(self) -> None:
        if time.monotonic() - self._repaired < REPAIR_SECONDS:
            return
        self._repaired = time.monotonic()
        self._names.forget_deleted([node.ledger for node in self._tree.nodes.values()])
        self._tree.repair()
        forget_folded(self._session, self._tree.nodes, self._events.drain)
        if self._names.refresh():
            for node in self._tree.nodes.values():
                node.ledger.rename()
        self._inside.repair(self._tree.nodes)

    def _shown_processes(self) -> set[bytes]:
        return set().union(*(shown_processes(node.ledger) for node in self._tree.nodes.values()))

    def _mark_active(self, changed: list[Node]) -> None:
        """A changed ledger moves the figures of its cgroup and of all above it."""
        until = time.monotonic() + LAG_SECONDS
        for node in changed:
            above: Node | None = node
            while above is not None and above.active_until < until:
                above.active_until = until
                above = self._tree.nodes.get(above.parent or 0)

    def _sample_cgroups(self) -> tuple[CgroupSample, ...]:
        nodes = self._tree.nodes
        made = tuple([self._cgroups.make(node, nodes) for node in self._tree.in_order()])
        self._allocations.decide(time.monotonic(), time.time())
        whole = next((each.memory for each in made if each.path == "/"), None)
        if whole is not None:
            self._shmem.note_figure(whole.shmem_bytes)
        return made

    def _lost(self) -> Lost:
        losses = self._session.losses()
        pages = losses[wire.LOSS_LEDGER_PAGES] + losses[wire.LOSS_TOTAL_PAGES]
        return Lost(
            ring=losses[wire.LOSS_RING] + losses[wire.LOSS_OWNERS] + self._go.lost(),
            map_full=pages * self._page + losses[wire.LOSS_SLAB_BYTES],
            recursion=self._session.recursion_misses() + self._session.unflushed,
            names=losses[wire.LOSS_NAMES],
        )

    def _all_features(self) -> dict[str, Feature]:
        features = {**self._features, **self._watching.features(), **self._census.features()}
        features["slab_culprits"] = self._allocations.feature
        features.update(self._go.features())
        if self._tombstones is not None:
            features["tombstones"] = self._tombstones.feature
        return features

    def _baseline_state(self) -> BaselineState:
        taken, times = self._baseline.taken, self._times
        if not taken or times.taken_at is None:
            return BaselineState("unavailable" if times.reason else "off", times.reason)
        return BaselineState(
            state="settling" if self._baseline.unsettled else "done",
            reason=self._baseline.incomplete,
            age_seconds=time.monotonic() - times.taken_at,
            cost_seconds=times.cost,
            files=self._baseline.files,
            bytes=self._baseline.pages * self._page,
            unsettled_files=self._baseline.unsettled,
        )

    def _end_interval(self) -> None:
        changed = [node for node in self._tree.nodes.values() if node.ledger.changed]
        for node in changed:
            node.ledger.settle_interval()
        self._gathering.cut(changed)
