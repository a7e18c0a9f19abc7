"""What containers call the files in their rows: looked up once per row, kept when they are gone.

Decides when a container's mounts are read, and again: in the first seconds of a new cgroup,
when its container may still be in the making; some time later; and when it has a file
that its mounts do not show. Reads nothing itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from memtrace.collect.cgroups import RUNNING, Node
from memtrace.collect.names import Names
from memtrace.host.container_mounts import ContainerMounts, ContainerView
from memtrace.host.runtimes import paths
from memtrace.samples import DriverRow, FileRow

ATTEMPTS = 10
PAUSE_SECONDS = 0.5
"""How often, and how soon again, a new cgroup without a view is looked at."""

MOST_PASSED = 3
"""Repairs that pass by a cgroup without a view, in the end."""

Made = DriverRow | FileRow | None
Place = Callable[[bytes, str | None, Made], str | None]
"""From a file, its host path and the row made before to what its container calls it."""


def nowhere(_file: bytes, _path: str | None, _made: Made) -> None:
    """No container, no path in it."""


class _Entry:
    """What is known of one cgroup. `stale`: its mounts are to be read again.

    `passed` of `pause` repairs have gone by without a look: most cgroups are in no container.
    """

    __slots__ = ("attempts", "looked_at", "passed", "pause", "stale", "view")

    def __init__(self) -> None:
        self.view: ContainerView | None = None
        self.attempts = 0
        self.looked_at = 0.0
        self.passed = self.pause = 0
        self.stale = True


class ContainerPaths:
    """Views by cgroup id."""

    def __init__(self, names: Names, mounts: ContainerMounts) -> None:
        self._names = names
        self._mounts = mounts
        self._entries: dict[int, _Entry] = {}
        self._waiting: set[int] = set()  # new cgroups without a view

    def of(self, node: Node, nodes: Mapping[int, Node]) -> Place:
        """What tells the paths for this cgroup's rows."""
        entry = self._entries.get(node.id)
        if entry is None:
            entry = self._entries[node.id] = _Entry()
            self._look(node, nodes, entry)
        if entry.view is None:
            entry.stale = True
            return nowhere
        return self._placer(entry, entry.view)

    def retry(self, nodes: Mapping[int, Node]) -> None:
        """Look at new cgroups again, a few times. To be called before rows are made."""
        for cgroup in tuple(self._waiting):
            entry, node = self._entries.get(cgroup), nodes.get(cgroup)
            if entry is None or node is None:
                self._waiting.discard(cgroup)
            elif time.monotonic() >= entry.looked_at + PAUSE_SECONDS:
                self._look(node, nodes, entry)

    def repair(self, nodes: Mapping[int, Node]) -> None:
        """Look again where something was missing. To be called every now and then.

        Where there was no container at all, only at every fourth call in the end.
        """
        for cgroup, entry in self._entries.items():
            if not entry.stale or cgroup not in nodes:
                continue
            if entry.view is None and entry.passed < entry.pause:
                entry.passed += 1
                continue
            entry.stale = False
            self._look(nodes[cgroup], nodes, entry)
            entry.passed, entry.pause = 0, min(2 * entry.pause + 1, MOST_PASSED)

    def forget(self, cgroup: int) -> None:
        """The cgroup is released."""
        self._entries.pop(cgroup, None)
        self._waiting.discard(cgroup)

    def _placer(self, entry: _Entry, view: ContainerView) -> Place:
        found: dict[bytes, str | None] = {}  # a driver and a file have one name

        def place(file: bytes, path: str | None, made: Made) -> str | None:
            if made is not None and made.path == path:
                return made.container_path
            if file not in found:
                found[file] = self._find(file, entry, view)
            return found[file]

        return place

    def _find(self, file: bytes, entry: _Entry, view: ContainerView) -> str | None:
        within = self._names.within(file)
        if within is None:
            return None
        found = view.path(*within)
        if found is None:
            entry.stale = True
        return found

    def _look(self, node: Node, nodes: Mapping[int, Node], entry: _Entry) -> None:
        """Read a cgroup's view; what was read before stays when nothing can be read now."""
        entry.attempts += 1
        entry.looked_at = time.monotonic()
        view = self._read(node, nodes)
        if view is not None and (entry.view is None or entry.view.source != view.source):
            entry.view = view
            node.ledger.rename()
        if entry.view is None and node.born and entry.attempts < ATTEMPTS:
            self._waiting.add(node.id)
        else:
            self._waiting.discard(node.id)

    def _read(self, node: Node, nodes: Mapping[int, Node]) -> ContainerView | None:
        """The cgroup's own view, else that of the container it is in."""
        if node.path == "/" or node.state != RUNNING:
            return None
        view = self._mounts.read(node.id, node.path, paths.container(node.path) is not None)
        if view is not None:
            return view
        above = nodes.get(node.parent or 0)
        while above is not None and above.path != "/":
            known = self._entries.get(above.id)
            if known is not None and known.view is not None:
                return known.view
            if paths.container(above.path) is not None:
                return self._mounts.read(above.id, above.path, below=True)
            above = nodes.get(above.parent or 0)
        return None
