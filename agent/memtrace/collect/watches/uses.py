"""Who does something with the pages of files that another may pay for: a program of uses.h, read.

Adds up what the kernel tells by (payer, file); knows no names. Which programs there are, and
what they count, is in bpf/<name>.bpf.c.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from heapq import nlargest
from typing import NamedTuple

from memtrace.kernel import wire
from memtrace.kernel.errors import BpfError
from memtrace.kernel.maps import Map
from memtrace.kernel.objects import BpfObject
from memtrace.kernel.plan import OnDemand
from memtrace.kernel.session import Session
from memtrace.samples import Feature

MAX_FILES = 4096
"""Files with users that are remembered; from there on those used least are given up."""
MAX_USERS = 256
KEPT = 0.5
"""The share of the largest that stays when there are more."""
MAX_WATCHED = 16000
"""Cgroups that fit into the map `watched`; more than these are watched as all."""

Cgroups = frozenset[int] | None
"""Memory cgroups by id; None: every one."""

EVERY = 0
_ONE = struct.pack("<I", 1)
_PAGES = struct.Struct("<Q")


class User(NamedTuple):
    """A process (wire.PROCESS) and the memory cgroup it is in."""

    cgroup: int
    process: bytes


Use = tuple[int, bytes]  # payer, file


class UseTable:
    """Pages by payer, file and user, added up. `changed`: payers with news since it was cleared."""

    def __init__(self) -> None:
        self._files: dict[Use, Counter[User]] = {}
        self.changed: set[int] = set()

    def add(self, payer: int, file: bytes, user: User, pages: int) -> None:
        """Count one row."""
        users = self._files.get((payer, file))
        if users is None:
            users = self._files[payer, file] = Counter()
        users[user] += pages
        self.changed.add(payer)
        if len(users) > MAX_USERS:
            self._files[payer, file] = Counter(dict(users.most_common(int(MAX_USERS * KEPT))))

    def cut(self) -> None:
        """Keep the table within its bound."""
        if len(self._files) > MAX_FILES:
            kept = nlargest(int(MAX_FILES * KEPT), self._files.items(), key=_weight)
            self._files = dict(kept)

    def users(self, payer: int, file: bytes) -> Mapping[User, int]:
        """Pages by user of one payer's file."""
        return self._files.get((payer, file), {})

    def clear(self) -> None:
        """Forget everything."""
        self.changed |= {payer for payer, _ in self._files}
        self._files.clear()


class UseWatch:
    """One of the objects that fill uses.h, loaded while it is armed. `table`: what it told so far.

    `exactness` is what it can tell, for the feature's reason.
    """

    def __init__(self, session: Session, name: str, plan: OnDemand, exactness: str) -> None:
        self.name = name
        self._exactness = exactness
        self._missing = plan.missing
        self.table = UseTable()
        self._session = session
        self._programs = plan.programs
        self._opened: BpfObject | None = None
        self._aimed: frozenset[int] = frozenset()

    @property
    def armed(self) -> bool:
        """Whether it is attached."""
        return self._opened is not None

    @property
    def feature(self) -> Feature:
        """Whether it is attached, and why not."""
        if self._missing:
            return Feature(False, self._missing)
        if self._opened is None:
            return Feature(False, f"off until asked for: --watch {self.name}", on_demand=True)
        lost = self.unkept_pages()
        return Feature(True, self._exactness + (f"; {lost} pages without a file" if lost else ""))

    def arm(self) -> None:
        """Load and attach; what is counted counts from here. A refusal is in `feature`."""
        if self._opened is not None or self._missing:
            return
        try:
            self._opened = self._session.load(self.name, self._programs, self._session.devices)
        except BpfError as error:
            self._missing = f"the kernel refused it: {error}"
        self._aimed = frozenset()

    def disarm(self) -> None:
        """Detach, unload, and forget what was counted."""
        if self._opened is not None:
            self._session.unload(self._opened)
            self._opened = None
        self.table.clear()

    def aim(self, cgroups: Cgroups) -> None:
        """Look at pages that these cgroups pay for from now on."""
        if self._opened is None:
            return
        wanted = cgroups if cgroups is not None and len(cgroups) <= MAX_WATCHED else {EVERY}
        watched = self._opened.map("watched")
        for cgroup in self._aimed - wanted:
            watched.delete(_PAGES.pack(cgroup))
        for cgroup in wanted - self._aimed:
            watched.put(_PAGES.pack(cgroup), _ONE)
        self._aimed = frozenset(wanted)

    def gather(self) -> None:
        """Take what the kernel counted; the session has just turned its epoch."""
        if self._opened is None:
            return
        for payer, file, user, pages in self._rows(self._opened.map(self._left())):
            self.table.add(payer, file, user, pages)
        self.table.cut()

    def attached(self) -> tuple[str, ...]:
        """The programs that are attached now."""
        return () if self._opened is None else self._programs

    def unkept_pages(self) -> int:
        """Pages whose use found no room in the kernel's table since it was armed."""
        if self._opened is None:
            return 0
        return int.from_bytes(self._opened.map("unkept").get(bytes(4)) or b"", "little")

    def _left(self) -> str:
        return "uses_b" if self._session.drained_epoch else "uses_a"

    @staticmethod
    def _rows(table: Map) -> Iterable[tuple[int, bytes, User, int]]:
        for keys, values, count in table.drain():
            amounts = values[: count * _PAGES.size].cast("q")  # a count may be taken back
            rows = wire.USE_KEY.iter_unpack(keys[: count * wire.USE_KEY.size])
            for (payer, file, cgroup, process), pages in zip(rows, amounts, strict=True):
                yield payer, file, User(cgroup, process), pages


def _weight(item: tuple[Use, Counter[User]]) -> int:
    return item[1].total()
