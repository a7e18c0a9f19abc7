"""The tree of memory cgroups: told by events, repaired by a walk. Holds no figures of its own.

A cgroup is running, then removed (its directory is gone, its pages may live on), then
released (its last page is gone): then its ledger is folded into its parent's. A kernel that
charges a removed cgroup's pages to its parent tells no release: there it is folded once its
ledger was empty twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from memtrace.collect.events import CgroupChanged
from memtrace.collect.ledger import CgroupLedger
from memtrace.host.hierarchy import Hierarchy, walk
from memtrace.kernel import wire

RUNNING, REMOVED = "running", "removed"
MAX_REMOVED = 4096
"""Removed cgroups remembered; beyond it the oldest are folded although pages may live."""


@dataclass(slots=True)
class Node:
    """One cgroup. `born`: made after the programs were attached, so its baseline is 0."""

    id: int
    parent: int | None
    path: str
    born: bool
    state: str = RUNNING
    empty_before: bool = False  # at the repair before
    active_until: float = 0.0  # monotonic seconds: its figures may still be moving
    ledger: CgroupLedger = field(default_factory=CgroupLedger)


class CgroupTree:
    """All known cgroups by id. `released` is called with each node that is folded away."""

    def __init__(self, hierarchy: Hierarchy, released: Callable[[Node], None]) -> None:
        self._hierarchy = hierarchy
        self._released = released
        self.nodes: dict[int, Node] = {}
        self._order: list[Node] | None = None
        self.unwalked_baseline: int | None = None  # of a cgroup that no walk met: 0 after one
        for entry in walk(hierarchy):
            self._add(entry.id, entry.parent_id, entry.path, born=False)

    def apply(self, event: CgroupChanged) -> None:
        """Follow one event. Repeated and late events do no harm."""
        if event.change == wire.EVENT_MKDIR:
            node = self.nodes.get(event.id)
            if node is None or not node.path:
                self._add(event.id, event.parent, event.path, born=True)
            else:  # seen by the walk first, but made while the programs were attached
                self._set_born(node)
        elif event.change == wire.EVENT_RMDIR:
            self._remove(event)
        else:
            if event.id in self.nodes:
                self.nodes[event.id].ledger.end()
            self._release(event.id)

    def repair(self) -> None:
        """Compare with the directory tree: whatever an event failed to tell."""
        seen = set()
        for entry in walk(self._hierarchy):
            seen.add(entry.id)
            known = self.nodes.get(entry.id)
            if known is None or not known.path:
                self._add(entry.id, entry.parent_id, entry.path, born=True)
            elif known.state == REMOVED:  # a walk that failed halfway took it for gone
                known.state = RUNNING
        for node in list(self.nodes.values()):
            if node.state == RUNNING and node.id not in seen:
                node.state = REMOVED
            elif node.state == REMOVED and _is_empty(node.ledger):
                if node.empty_before:  # figures from after its removal
                    self._release(node.id)
                node.empty_before = True
        self._bound_removed()

    def node(self, cgroup: int) -> Node:
        """A cgroup; one not known yet waits, without a path, to be told."""
        node = self.nodes.get(cgroup)
        if node is None:
            node = self._add(cgroup, None, "", born=False)
            node.state = REMOVED
        return node

    def in_order(self) -> list[Node]:
        """Every cgroup with a known place, parents before children."""
        if self._order is None:
            placed = (node for node in self.nodes.values() if node.path)
            self._order = sorted(placed, key=lambda node: node.path)
        return self._order

    def _add(self, cgroup: int, parent: int | None, path: str, born: bool) -> Node:
        self._order = None
        waiting = self.nodes.get(cgroup)
        if waiting is not None and not waiting.path:
            waiting.parent, waiting.path, waiting.state = parent, path, RUNNING
            if born:
                self._set_born(waiting)
            return waiting
        node = self.nodes[cgroup] = Node(cgroup, parent, path, False)
        node.ledger.baseline = self.unwalked_baseline
        if born:
            self._set_born(node)
        return node

    def _set_born(self, node: Node) -> None:
        node.born = True
        node.ledger.baseline = 0
        node.ledger.changed = True

    def _remove(self, event: CgroupChanged) -> None:
        """A removal; the walk tells the name only, and the nearest ancestor that is still there."""
        node = self.nodes.get(event.id)
        if node is None or not node.path:
            above = self.nodes.get(event.parent)
            path = event.path
            if not path.startswith("/"):
                path = f"{above.path.rstrip('/') if above else ''}/{path}"
            node = self._add(event.id, event.parent if above else self._root_id(), path, born=False)
        node.state = REMOVED
        node.ledger.changed = True

    def _release(self, cgroup: int) -> None:
        node = self.nodes.get(cgroup)
        if node is None or cgroup == self._root_id():
            return
        parent = self.nodes.get(node.parent or 0) or self.nodes.get(self._root_id())
        for child in self.nodes.values():
            if child.parent == cgroup:
                child.parent = node.parent
                child.ledger.changed = True
        del self.nodes[cgroup]
        self._order = None
        if parent is not None:
            parent.ledger.depart(node.ledger)
        self._released(node)

    def _root_id(self) -> int:
        return next((node.id for node in self.nodes.values() if node.path == "/"), 0)

    def _bound_removed(self) -> None:
        removed = [node.id for node in self.nodes.values() if node.state == REMOVED]
        for cgroup in removed[: max(0, len(removed) - MAX_REMOVED)]:
            self._release(cgroup)


def _is_empty(ledger: CgroupLedger) -> bool:
    """Whether nothing charged to a removed cgroup can be left."""
    if ledger.baseline is None:
        return False
    return ledger.baseline + sum(ledger.added) == sum(ledger.removed)
