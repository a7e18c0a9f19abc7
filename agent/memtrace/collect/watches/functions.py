"""Sampled stacks of page-cache growth as rows with names: by cgroup, and for each driver.

Wires the watch that samples (stacks.py) and what names them aside (telling.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from memtrace.collect.watches.briefly import briefly
from memtrace.collect.watches.stacks import StackWatch
from memtrace.kernel import wire
from memtrace.samples import Feature, FileId, StackRow

if TYPE_CHECKING:
    from memtrace.collect.watches.telling import Amounts, Code, Telling, Told

PATIENCE_SECONDS, STUCK_SECONDS = 0.05, 30.0
"""How long names are waited for, and when it is said that they do not come."""
_STUCK = "stacks stand still: a program's file system does not answer"

Driver = tuple[FileId, int, str]  # file, tgid, kind: what tells the rows of drivers apart


class Functions:
    """`comm`: the name of a process (wire.PROCESS). `page` is the bytes of a page."""

    def __init__(
        self, watch: StackWatch, root: Path, comm: Callable[[bytes], str | None], page: int
    ) -> None:
        self.watch = watch
        self._root = root
        self._telling: Telling | None = None
        self._comm = comm
        self._page = page
        self._asked: set[int] = set()  # cgroups that are being named
        self._late: set[int] = set()  # cgroups that have names to come
        self._full = self._afresh = False
        self._stacks: dict[int, tuple[StackRow, ...]] = {}
        self._functions: dict[int, dict[Driver, str]] = {}
        self.changed: set[int] = set()  # cgroups with other rows since it was cleared

    @property
    def feature(self) -> Feature:
        """Whether stacks are told, and why not."""
        stuck = self._telling is not None and self._telling.busy_for() > STUCK_SECONDS
        return Feature(False, _STUCK) if stuck else self.watch.feature

    def gather(self) -> None:
        """Take what was sampled, and have what changed named while its processes live."""
        self.watch.gather()
        self._take(0.0)
        table = self.watch.table
        if (table.changed or self._late) and not (self._telling and self._telling.busy):
            self._begin(table.changed | self._late)
            table.changed.clear()
            self._take(PATIENCE_SECONDS)

    def of(self, cgroup: int) -> tuple[StackRow, ...] | None:
        """The rows of a cgroup alone, the largest first; None while nobody watches."""
        return self._stacks.get(cgroup, ()) if self.watch.armed else None

    def by_driver(self, cgroup: int) -> dict[Driver, str]:
        """The function behind most of what each driver of a cgroup added."""
        return self._functions.get(cgroup, {}) if self.watch.armed else {}

    def forget(self, cgroup: int) -> None:
        """The cgroup is gone."""
        self._asked.discard(cgroup)
        self._late.discard(cgroup)
        self._stacks.pop(cgroup, None)
        self._functions.pop(cgroup, None)

    def disarm(self) -> None:
        """Watch no longer, and forget what was seen."""
        self.watch.disarm()
        self.watch.table.changed.clear()
        self.changed |= self._stacks.keys()
        if self._telling is not None:
            self._telling.close()
        self._telling = None
        for each in (self._asked, self._late, self._stacks, self._functions):
            each.clear()
        self._full = False

    def _begin(self, cgroups: set[int]) -> None:
        """Have these named; all that there are once there was no room for more names."""
        self._afresh, self._full = self._full, False
        items = self.watch.table.items(None if self._afresh else cgroups)
        self._asked = {place.cgroup_id for place, _ in items} | cgroups
        self._late.clear()
        if self._telling is None:
            from memtrace.collect.watches.telling import Telling

            self._telling = Telling(self._root, self._page)
        self._telling.start(frozenset(self._asked), items, self._afresh)

    def _take(self, seconds: float) -> None:
        told = None if self._telling is None else self._telling.take(seconds)
        if told is None:
            return
        if self._afresh:  # what had names that are given up
            self.changed |= self._stacks.keys()
            self._stacks.clear()
            self._functions.clear()
        self._keep(told)
        self._full = told.full
        self._late = set() if told.complete else set(self._asked)

    def _keep(self, told: Told) -> None:
        for cgroup in self._asked:
            rows = tuple(self._row(*each) for each in told.stacks[cgroup])
            functions = told.functions[cgroup]
            if (rows, functions) != (self._stacks.get(cgroup), self._functions.get(cgroup)):
                self._stacks[cgroup], self._functions[cgroup] = rows, functions
                self.changed.add(cgroup)

    def _row(self, code: Code, amounts: Amounts) -> StackRow:
        tgid, start, kind, frames = code
        comm = self._comm(wire.PROCESS.pack(tgid, start))
        return StackRow(tgid, start, comm, kind, briefly(frames), frames, *amounts)
