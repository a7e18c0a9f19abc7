"""Empties the kernel's interval ledgers, and whatever else fills up, into the accumulated state."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from memtrace.collect.baseline import Baseline
from memtrace.collect.cgroups import CgroupTree, Node
from memtrace.collect.kernel_events import KernelEvents
from memtrace.collect.ledger import FILE_SHMEM
from memtrace.collect.shmem import ShmemCheck
from memtrace.kernel import wire
from memtrace.kernel.session import Session

CROWDED_ROWS = 16384
"""Rows in one gather from which on the ledgers (65,536 rows) are emptied more often."""


class Gathering:
    """`beside`: has rows of cgroups, too, even of one just released. `after`: needs all names.

    `crowded`: whether the last time there was much. `rows_read`: from all ledgers so far.
    """

    def __init__(
        self,
        session: Session,
        tree: CgroupTree,
        events: KernelEvents,
        baseline: Baseline,
        shmem: ShmemCheck,
        beside: Callable[[], None],
        after: tuple[Callable[[], None], ...],
    ) -> None:
        self._session = session
        self._tree = tree
        self._events = events
        self._baseline = baseline
        self._shmem = shmem
        self._beside = beside
        self._after = after
        self._most_rows = self.rows_read = 0
        self.crowded = False

    def gather(self) -> None:
        """Take over all rows and events. Raises BpfError."""
        self._events.drain()
        complete = self._events.take_leaving()
        count = 0
        for keys, values, rows_read in self._session.gather():
            count += rows_read
            self._add_rows(keys, values, rows_read)
        self._most_rows = max(self._most_rows, count)
        self.rows_read += count
        self._beside()
        self.crowded = count > CROWDED_ROWS
        if self.crowded:
            self.cut(self._tree.nodes.values())
        for event in complete:
            self._events.release(event)
        self._events.drain()
        for gather in self._after:
            gather()

    def take_totals(self) -> None:
        """Take over the kernel's totals: after the last gather, so that they include all rows."""
        for keys, values, count in self._session.totals():
            cgroups = keys[: count * 8].cast("Q")
            for number, cgroup in enumerate(cgroups):
                start = number * wire.TOTAL.size
                total = bytes(values[start : start + wire.TOTAL.size])
                self._tree.node(cgroup).ledger.set_totals(total)

    def cut(self, nodes: Iterable[Node]) -> None:
        """Keep every table of theirs within its bound."""
        for node in nodes:
            for file in node.ledger.cut():
                self._baseline.forget(node.id, file)

    def fill(self) -> dict[str, float]:
        """How full the kernel's tables were at most since the last call, as a share."""
        rows, cgroups = self._session.capacity()
        most, self._most_rows = self._most_rows, 0
        return {"ledger": most / rows, "totals": len(self._tree.nodes) / cgroups}

    def _add_rows(self, keys: memoryview, values: memoryview, count: int) -> None:
        pairs = zip(
            wire.LEDGER_KEY.iter_unpack(keys[: count * wire.LEDGER_KEY.size]),
            wire.LEDGER_VALUE.iter_unpack(values[: count * wire.LEDGER_VALUE.size]),
            strict=True,
        )
        nodes, baseline_listens = self._tree.nodes, self._baseline.listens
        for (cgroup, file, process, kind), value in pairs:
            node = nodes.get(cgroup) or self._tree.node(cgroup)
            if not node.born:
                if file not in node.ledger.files:
                    self._remember_walked(node, file)
                if baseline_listens:
                    self._baseline.note_touch(cgroup, file)
            entry = node.ledger.row(file, process, kind, value)
            if entry.flags & FILE_SHMEM or self._shmem.is_shmem(file):
                self._shmem.note_touch(cgroup, file)

    def _remember_walked(self, node: Node, file: bytes) -> None:
        """The first event of a file that was quiet until now: what the walk found of it."""
        pages = self._baseline.known(node.id, file)
        if pages:
            node.ledger.hold(file, pages)
