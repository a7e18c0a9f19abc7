"""Makes each cgroup's part of a Sample: who it is, its memory, its ledger's rows.

As long as nothing about a cgroup changed it hands out the very same object again, which
spares everybody after it the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from operator import attrgetter, is_not

from memtrace.collect import rows
from memtrace.collect.cgroups import REMOVED, RUNNING, Node
from memtrace.collect.container_paths import ContainerPaths
from memtrace.collect.names import Names
from memtrace.collect.processes import ShownProcesses
from memtrace.collect.slab_watch import SlabWatcher
from memtrace.collect.watches.watching import Watching
from memtrace.host.cgroupfs import CgroupReader
from memtrace.host.identity import Resolver
from memtrace.samples import CgroupSample, GoCollected, GoProcess, Ledger, Memory, Slab

_parts = attrgetter(*(field.name for field in fields(CgroupSample)))


class CgroupSamples:
    """By cgroup. `page` is the bytes of a page."""

    def __init__(
        self,
        resolver: Resolver,
        reader: CgroupReader,
        names: Names,
        inside: ContainerPaths,
        processes: ShownProcesses,
        watching: Watching,
        page: int,
        slab_of: Callable[[int], Slab | None],
        allocations: SlabWatcher,
        go_of: Callable[[int], tuple[GoProcess, ...] | None],
        collected_of: Callable[[int], GoCollected | None],
    ) -> None:
        self._resolver = resolver
        self._reader = reader
        self._names = names
        self._inside = inside
        self._processes = processes
        self._watching = watching
        self._page = page
        self._slab_of = slab_of
        self._allocations = allocations
        self._go_of = go_of
        self._collected_of = collected_of
        self._made: dict[int, CgroupSample] = {}
        self.ledgers: dict[int, Ledger] = {}  # made last

    def make(self, node: Node, nodes: Mapping[int, Node]) -> CgroupSample:
        """The cgroup as of now; `nodes` are all of them by id."""
        made = self._made.get(node.id)
        memory = self._read_memory(node)
        if made is not None and memory is made.memory and self._stands_still(node, made):
            return made
        parent = node.parent if node.path != "/" else None
        parts = (
            node.id,
            parent,
            node.path,
            self._resolver.resolve(node.id, node.path, node.state == REMOVED),
            node.state,
            memory,
            self._make_ledger(node, nodes),
            self._slab_of(node.id),
            self._allocations.of(node.id, memory, node.born, parent is None),
            self._go_of(node.id),
            self._watching.stacks(node.id),
            self._collected_of(node.id),
        )
        if made is None or any(map(is_not, parts, _parts(made))):
            made = self._made[node.id] = CgroupSample(*parts)
        return made

    def _stands_still(self, node: Node, made: CgroupSample) -> bool:
        """Whether it is as it was, with the same memory: most cgroups are, most of the time."""
        cgroup = node.id
        return not (
            node.ledger.changed
            or node.state != made.state
            or node.parent != made.parent_id
            or node.path != made.path
            or self._go_of(cgroup) is not made.go
            or self._collected_of(cgroup) is not made.collected
            or self._slab_of(cgroup) is not made.slab
            or self._allocations.news(cgroup)
            or self._watching.news(cgroup)
            or self._resolver.news(cgroup, made.identity)
            or (made.ledger.processes and self._processes.news(cgroup))
        )

    def forget(self, cgroup: int) -> None:
        """The cgroup is released."""
        self._made.pop(cgroup, None)
        self.ledgers.pop(cgroup, None)

    def _read_memory(self, node: Node) -> Memory | None:
        if node.state != RUNNING:
            self._reader.forget(node.id)
            return None
        active = node.path == "/" or time.monotonic() < node.active_until
        return self._reader.read(node.id, node.path, active)

    def _make_ledger(self, node: Node, nodes: Mapping[int, Node]) -> Ledger:
        made = self.ledgers.get(node.id)
        if made is None or node.ledger.changed:
            place = self._inside.of(node, nodes)
            made = rows.sample_ledger(node.ledger, self._names, self._page, place)
        if made.processes:
            made = self._processes.fill(node.id, made)
        made = self._watching.fill(node.id, made)
        self.ledgers[node.id] = made
        return made
