"""Has the names of shown files told again: the missing ones, and those that may have changed.

naming.py decides when; here are the files behind the rows, and what to do with the answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from memtrace.collect import rows
from memtrace.collect.baseline import Baseline
from memtrace.collect.cgroups import CgroupTree, Node
from memtrace.collect.names import Names
from memtrace.collect.naming import NameCheck
from memtrace.samples import Ledger

MAX_ASKED = 65536
NAMES_PER_WALK = 2000
"""As many as fit into the ring buffer with room to spare for events."""


class Namer:
    """`drain` hands the events that a walk caused to the names."""

    def __init__(
        self, names: Names, tree: CgroupTree, baseline: Baseline, drain: Callable[[], None]
    ) -> None:
        self._names = names
        self._tree = tree
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
            self._check.changed(rows.growing_files(node.ledger))
            if not node.born:  # what comes into a new one is told by events
                self._check.unnamed(self._never_asked(_shown(node, made.get(node.id))))
        if self._check.all_due():
            everything = (rows.top_files(node.ledger) for node in self._tree.nodes.values())
            self._check.unnamed(file for shown in everything for file in shown)
        due = self._check.due()
        if due:
            self._ask(due)

    def _never_asked(self, files: list[bytes]) -> list[bytes]:
        """Files without a name, once each: those that are gone by now never get one."""
        if len(self._asked) > MAX_ASKED:
            self._asked.clear()
        new = [f for f in files if f not in self._asked and not self._names.knows(f)]
        self._asked.update(new)
        return new

    def _ask(self, files: set[bytes]) -> None:
        started = time.thread_time()
        before = {file: self._called(file) for file in files}
        for chunk in _chunks(sorted(files), NAMES_PER_WALK):
            self._baseline.name(chunk)
            self._drain()
        self._check.rest(time.thread_time() - started)
        renamed = {file for file, called in before.items() if self._called(file) != called}
        for node in self._tree.nodes.values():
            if not renamed.isdisjoint(node.ledger.files):
                node.ledger.rename()

    def _called(self, file: bytes) -> tuple[str | None, bool | None]:
        return self._names.path(file), self._names.deleted(file)


def _shown(node: Node, made: Ledger | None) -> list[bytes]:
    """Files without a name in the rows made last, or at first those about to be shown."""
    return rows.top_files(node.ledger) if made is None else rows.nameless_files(made)


def _chunks(files: list[bytes], size: int) -> Iterator[set[bytes]]:
    for start in range(0, len(files), size):
        yield set(files[start : start + size])
