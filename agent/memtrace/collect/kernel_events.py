"""Takes the kernel's events out of their ring: names, ended processes, cgroups that come and go.

What they say goes to whoever keeps it; a released cgroup's waits for its last rows.
"""

from __future__ import annotations

from dataclasses import replace

from memtrace.collect.cgroups import CgroupTree
from memtrace.collect.events import CgroupChanged, PathSeen, TaskExited, TaskNamed, decode
from memtrace.collect.names import Names
from memtrace.collect.processes import ShownProcesses
from memtrace.host.identity import Resolver
from memtrace.host.tombstones import Tombstones
from memtrace.kernel import wire
from memtrace.kernel.session import Session


class KernelEvents:
    """Call `drain` before and after the interval ledgers are read. `page`: bytes of a page."""

    def __init__(
        self,
        session: Session,
        names: Names,
        processes: ShownProcesses,
        tree: CgroupTree,
        resolver: Resolver,
        tombstones: Tombstones | None,
        page: int,
    ) -> None:
        self._session = session
        self._names = names
        self._processes = processes
        self._tree = tree
        self._resolver = resolver
        self._tombstones = tombstones
        self._page = page
        self._leaving: list[CgroupChanged] = []
        self._renamed: set[bytes] = set()  # processes, by exec

    def drain(self) -> None:
        """Take over every event that waits. Raises BpfError."""
        self._session.drain_events(self._on_event)

    def take_leaving(self) -> list[CgroupChanged]:
        """Cgroups that were released: their last rows are in the ledger still to be read."""
        taken, self._leaving = self._leaving, []
        return taken

    def release(self, event: CgroupChanged) -> None:
        """Let a released cgroup go, its last rows being read, with the kernel's last totals."""
        node = self._tree.nodes.get(event.id)
        total = self._session.total(event.id)
        if node is not None and total is not None:
            node.ledger.set_totals(total)
        self._tree.apply(event)

    def tell_renamed(self) -> None:
        """Have the rows of processes that run another program by now made anew."""
        if not self._renamed:
            return
        for node in self._tree.nodes.values():
            if not self._renamed.isdisjoint(node.ledger.processes):
                node.ledger.rename()
        self._renamed.clear()

    def _on_event(self, record: memoryview) -> None:
        event = decode(record)
        if isinstance(event, PathSeen):
            self._names.learn_file(event)
        elif isinstance(event, TaskNamed):
            if self._names.learn_process(event.process, event.comm):
                self._renamed.add(event.process)
        elif isinstance(event, TaskExited):
            self._processes.end(event, self._page)
        elif isinstance(event, CgroupChanged):
            self._on_cgroup(event)

    def _on_cgroup(self, event: CgroupChanged) -> None:
        if event.change == wire.EVENT_RELEASE:
            self._leaving.append(event)
            return
        buried = self._tombstones.path(event.id) if self._tombstones is not None else None
        if buried is not None and event.change == wire.EVENT_RMDIR:
            event = replace(event, path=buried)
        self._tree.apply(event)
        if event.change == wire.EVENT_MKDIR:
            self._resolver.resolve(event.id, event.path)
