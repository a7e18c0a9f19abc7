"""Sampled stacks of page-cache growth as rows with names: by cgroup, and for each driver.

Wires the watch that samples (stacks.py) and what knows names (code.py).
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import nlargest
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from memtrace.collect.watches.briefly import briefly
from memtrace.collect.watches.stacks import StackRow as Sampled
from memtrace.collect.watches.stacks import StackWatch
from memtrace.kernel import wire
from memtrace.samples import KINDS, FileId, StackRow

if TYPE_CHECKING:
    from memtrace.collect.watches.code import CodeNames

ROWS = 40
FRAMES = 16
"""Functions of a stack that are kept, the innermost."""

Driver = tuple[FileId, int, str]  # file, tgid, kind: what tells the rows of drivers apart
Code = tuple[int, int, int, tuple[str, ...]]  # tgid, start, kind, functions


class Functions:
    """`comm`: the name of a process (wire.PROCESS). `page` is the bytes of a page."""

    def __init__(
        self, watch: StackWatch, root: Path, comm: Callable[[bytes], str | None], page: int
    ) -> None:
        self.watch = watch
        self._root = root
        self._code: CodeNames | None = None
        self._comm = comm
        self._page = page
        self._stacks: dict[int, tuple[StackRow, ...]] = {}
        self._functions: dict[int, dict[Driver, str]] = {}
        self.changed: set[int] = set()  # cgroups with other rows since it was cleared

    def gather(self) -> None:
        """Take what was sampled, and name what changed while its processes live."""
        self.watch.gather()
        if not self.watch.table.changed:
            return
        by_cgroup: dict[int, list[Sampled]] = {}
        for row in self.watch.table.rows(self._page):
            if row.cgroup_id in self.watch.table.changed:
                by_cgroup.setdefault(row.cgroup_id, []).append(row)
        for cgroup in self.watch.table.changed:
            self._describe(cgroup, by_cgroup.get(cgroup, []))
        self.changed |= self.watch.table.changed
        self.watch.table.changed.clear()

    def of(self, cgroup: int) -> tuple[StackRow, ...] | None:
        """The rows of a cgroup alone, the largest first; None while nobody watches."""
        return self._stacks.get(cgroup, ()) if self.watch.armed else None

    def by_driver(self, cgroup: int) -> dict[Driver, str]:
        """The function behind most of what each driver of a cgroup added."""
        return self._functions.get(cgroup, {}) if self.watch.armed else {}

    def forget(self, cgroup: int) -> None:
        """The cgroup is gone."""
        self._stacks.pop(cgroup, None)
        self._functions.pop(cgroup, None)

    def disarm(self) -> None:
        """Watch no longer, and forget what was seen."""
        self.watch.disarm()
        self.watch.table.changed.clear()
        self.changed |= self._stacks.keys()
        if self._code is not None:
            self._code.close()
        self._stacks.clear()
        self._functions.clear()

    def _describe(self, cgroup: int, rows: list[Sampled]) -> None:
        names = self._code_names()
        code: dict[Code, tuple[int, int]] = {}
        drivers: dict[Driver, dict[str, int]] = {}
        for row in rows:
            frames = names.frames((row.tgid, row.start), row.pcs)[:FRAMES]
            key = row.tgid, row.start, row.kind, frames
            amount, samples = code.get(key, (0, 0))
            code[key] = amount + row.bytes, samples + row.samples
            function = briefly(frames)
            if function is not None:
                inode, device, generation = wire.FILE.unpack(row.file)
                driver = FileId(device, inode, generation), row.tgid, _kind(row.kind)
                shares = drivers.setdefault(driver, {})
                shares[function] = shares.get(function, 0) + row.bytes
        largest = nlargest(ROWS, code.items(), key=itemgetter(1))
        self._stacks[cgroup] = tuple(self._row(key, amounts) for key, amounts in largest)
        self._functions[cgroup] = {
            driver: max(shares, key=shares.__getitem__) for driver, shares in drivers.items()
        }

    def _code_names(self) -> CodeNames:
        """What knows names; not imported before something is to be named."""
        if self._code is None:
            from memtrace.collect.watches.code import CodeNames

            self._code = CodeNames(self._root)
        return self._code

    def _row(self, key: Code, amounts: tuple[int, int]) -> StackRow:
        tgid, start, kind, frames = key
        return StackRow(
            tgid,
            start,
            self._comm(wire.PROCESS.pack(tgid, start)),
            _kind(kind),
            briefly(frames),
            frames,
            *amounts,
        )


def _kind(number: int) -> str:
    return KINDS[number] if number < len(KINDS) else "other"
