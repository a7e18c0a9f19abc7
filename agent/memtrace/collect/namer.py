"""Has the names of shown files told again: the missing ones, and those that may have changed.

naming.py decides when; here are the files behind the rows, who is asked, and what to do with
the answers. File handles are asked first; what they cannot tell is left to a walk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from memtrace.collect import rows
from memtrace.collect.baseline import Baseline
from memtrace.collect.cgroups import CgroupTree, Node
from memtrace.collect.ledger import FILE_UNLINKED, CgroupLedger
from memtrace.collect.names import Names
from memtrace.collect.naming import NameCheck
from memtrace.host.file_handles import FileHandles, OpenMount
from memtrace.kernel import wire
from memtrace.samples import Ledger

MAX_ASKED = 65536
MAX_LOOKS = 256
"""File handles tried in one sample: 5 ms."""
NAMES_PER_WALK = 2000
"""As many as fit into the ring buffer with room to spare for events."""


class Namer:
    """`drain` hands the events that a walk caused to the names. No walks without a baseline."""

    def __init__(
        self,
        names: Names,
        tree: CgroupTree,
        handles: FileHandles,
        baseline: Baseline | None,
        drain: Callable[[], None],
    ) -> None:
        self._names = names
        self._tree = tree
        self._handles = handles
        self._baseline = baseline
        self._drain = drain
        self._check = NameCheck()
        self._asked: set[bytes] = set()

    def forget(self, file: bytes) -> None:
        """The file's name was given up: it may be asked for once more."""
        self._asked.discard(file)

    def check(self, changed: Sequence[Node], made: Mapping[int, Ledger]) -> None:
        """Ask for names of files about to be shown. `made`: what was shown last, by cgroup."""
        for node in changed:
            self._check.changed(_may_move(node.ledger))
            if not node.born:  # what comes into a new one is told by events
                self._check.unnamed(self._never_asked(_shown(node, made.get(node.id))))
        if self._check.all_due():
            everything = (rows.cached_files(node.ledger) for node in self._tree.nodes.values())
            self._check.again(filter(_has_path, chain.from_iterable(everything)))
        self._ask(self._check.due(MAX_LOOKS), self._look)
        self._ask(self._check.due_for_walk(), self._walk)

    def _never_asked(self, files: list[bytes]) -> list[bytes]:
        """Files without a name, once each: those that are gone by now never get one."""
        if len(self._asked) > MAX_ASKED:
            self._asked.clear()
        new = [f for f in files if f not in self._asked and not self._names.knows(f)]
        self._asked.update(new)
        return new

    def _ask(self, files: list[bytes], ask: Callable[[list[bytes]], None]) -> None:
        """Have names told by `ask`, and the rows of files with another one made anew."""
        if not files:
            return
        before = {file: self._called(file) for file in files}
        ask(files)
        renamed = {file for file, called in before.items() if self._called(file) != called}
        for node in self._tree.nodes.values() if renamed else ():
            if not renamed.isdisjoint(node.ledger.files):
                node.ledger.rename()

    def _look(self, files: list[bytes]) -> None:
        """Try file handles; leave other file systems to a walk."""
        for device, group in _by_device(files).items():
            if self._handles.knows(device):
                with self._handles.opened(device) as mount:
                    group = [file for file in group if mount is None or not self._find(file, mount)]
            if self._baseline is not None:
                self._check.leave(group)

    def _find(self, file: bytes, mount: OpenMount) -> bool:
        """Whether a file handle told all there is to tell."""
        inode, _, generation = wire.FILE.unpack(file)
        found = mount.find(inode, generation)
        if found is not None and found.links is not None:
            self._names.learn_path(file, found.path, found.links)
        return found is not None

    def _walk(self, files: list[bytes]) -> None:
        if self._baseline is None:
            return
        started = time.thread_time()
        for chunk in _chunks(sorted(files), NAMES_PER_WALK):
            self._baseline.name(chunk)
            self._drain()
        self._check.rest(time.thread_time() - started)

    def _called(self, file: bytes) -> tuple[str | None, bool | None]:
        return self._names.path(file), self._names.deleted(file)


def _shown(node: Node, made: Ledger | None) -> list[bytes]:
    """Files without a name in the rows made last, or at first those about to be shown."""
    return rows.top_files(node.ledger) if made is None else rows.nameless_files(made)


def _may_move(ledger: CgroupLedger) -> Iterator[bytes]:
    """The files behind the latest growth that may get another name: not those unlinked."""
    for file in rows.growing_files(ledger):
        entry = ledger.files.get(file)
        if _has_path(file) and not (entry and entry.flags & FILE_UNLINKED):
            yield file


def _has_path(file: bytes) -> bool:
    """Block devices have one in /sys; nobody needs to be asked."""
    return int.from_bytes(file[:8], "little") != 0


def _by_device(files: Iterable[bytes]) -> dict[int, list[bytes]]:
    groups: dict[int, list[bytes]] = {}
    for file in files:
        groups.setdefault(wire.FILE.unpack(file)[1], []).append(file)
    return groups


def _chunks(files: list[bytes], size: int) -> Iterator[set[bytes]]:
    for start in range(0, len(files), size):
        yield set(files[start : start + size])
