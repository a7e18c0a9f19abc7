"""What sampled stacks say of a cgroup: its code by amount, and the function behind each driver.

Named on a thread aside, for a file system that never answers must not stop the sampler, and within
a budget, for whoever is looked at chooses how many names there are.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from heapq import nlargest
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from memtrace.collect.aside import Aside
from memtrace.collect.watches.briefly import briefly
from memtrace.collect.watches.code import CodeNames
from memtrace.collect.watches.functions import Driver
from memtrace.collect.watches.stacks import Counted, Place, StackRow, row_of
from memtrace.kernel import wire
from memtrace.samples import KINDS, FileId

ROWS = 40
FRAMES = 16
"""Functions of a stack that are named, the innermost."""
MAX_FUNCTION = 256
"""Characters of what is told of a driver."""
BUDGET_SECONDS = 0.2
"""For new names, each time."""

Code = tuple[int, int, str, tuple[str, ...]]  # tgid, start, kind, functions
Amounts = tuple[int, int]  # bytes, samples
Item = tuple[Place, Counted]
Named = tuple[StackRow, tuple[str, ...]]


class Told(NamedTuple):
    """By cgroup: the largest rows, and the function of each driver.

    `complete`: nothing was put off. `full`: no more names fit, until all are given up.
    """

    stacks: dict[int, list[tuple[Code, Amounts]]]
    functions: dict[int, dict[Driver, str]]
    complete: bool
    full: bool


class Telling:
    """Hand in rows with `start`, `take` what they say; `close` it, whatever is under way.

    `page` is the bytes of a page.
    """

    def __init__(self, root: Path, page: int) -> None:
        self._page = page
        self._names = CodeNames(root)
        self._aside: Aside[Told] = Aside()

    @property
    def busy(self) -> bool:
        """Whether what was begun has not been taken yet."""
        return self._aside.busy

    def busy_for(self) -> float:
        """Seconds since it was begun; 0 without anything."""
        return self._aside.busy_for()

    def start(self, cgroups: Set[int], items: Sequence[Item], afresh: bool) -> None:
        """Begin with all of these cgroups. `afresh`: give up all names before."""
        self._aside.start(lambda: self._tell(cgroups, items, afresh))

    def take(self, seconds: float) -> Told | None:
        """What they say, waiting at most so long; None: not yet."""
        return self._aside.take(seconds)

    def close(self) -> None:
        """Give all descriptors back, after what is under way."""
        self._aside.finish(self._names.close)

    def _tell(self, cgroups: Set[int], items: Sequence[Item], afresh: bool) -> Told:
        """The first get their names first: the largest, in whatever cgroup they are."""
        if afresh:
            self._names.forget()
        self._names.begin(BUDGET_SECONDS)
        named: dict[int, list[Named]] = {cgroup: [] for cgroup in cgroups}
        for place, amounts in items:
            row = row_of(place, amounts, self._page)
            frames = self._names.frames((row.tgid, row.start, row.text), row.pcs[:FRAMES])
            named[row.cgroup_id].append((row._replace(pcs=()), frames))  # thousands of them
        return Told(
            {cgroup: _by_code(each) for cgroup, each in named.items()},
            {cgroup: _by_driver(each) for cgroup, each in named.items()},
            self._names.complete,
            self._names.full,
        )


def _by_code(rows: Sequence[Named]) -> list[tuple[Code, Amounts]]:
    """The largest, those of the same functions added up."""
    found: dict[Code, Amounts] = {}
    for row, frames in rows:
        key = row.tgid, row.start, _kind(row.kind), frames
        amount, samples = found.get(key, (0, 0))
        found[key] = amount + row.bytes, samples + row.samples
    return nlargest(ROWS, found.items(), key=itemgetter(1))


def _by_driver(rows: Sequence[Named]) -> dict[Driver, str]:
    """The function behind most of each."""
    drivers: dict[Driver, dict[str, int]] = {}
    for row, frames in rows:
        function = (briefly(frames) or "")[:MAX_FUNCTION]
        if function:
            inode, device, generation = wire.FILE.unpack(row.file)
            driver = FileId(device, inode, generation), row.tgid, _kind(row.kind)
            shares = drivers.setdefault(driver, {})
            shares[function] = shares.get(function, 0) + row.bytes
    return {driver: max(shares, key=shares.__getitem__) for driver, shares in drivers.items()}


def _kind(number: int) -> str:
    return KINDS[number] if number < len(KINDS) else "other"
