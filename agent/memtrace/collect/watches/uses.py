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

from memtrace.collect.watches.on_demand import Watch
from memtrace.kernel import wire
from memtrace.kernel.maps import Map
from memtrace.kernel.plan import OnDemand
from memtrace.kernel.session import Session

MAX_FILES = 4096
"""Files with users that are remembered; from there on those used least are given up."""
MAX_USERS = 256
KEPT = 0.5
"""The share of the largest that stays when there are more."""
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


class UseWatch(Watch):
    """One of the objects that fill uses.h. `table`: what it told so far."""

    def __init__(self, session: Session, name: str, plan: OnDemand, exactness: str) -> None:
        self.table = UseTable()
        super().__init__(session, name, plan, exactness, self.table)

    def gather(self) -> None:
        """Take what the kernel counted; the session has just turned its epoch."""
        if self._opened is None:
            return
        for payer, file, user, pages in self._rows(self._opened.map(self._left("uses"))):
            self.table.add(payer, file, user, pages)
        self.table.cut()

    @staticmethod
    def _rows(table: Map) -> Iterable[tuple[int, bytes, User, int]]:
        for keys, values, count in table.drain():
            amounts = values[: count * _PAGES.size].cast("q")  # a count may be taken back
            rows = wire.USE_KEY.iter_unpack(keys[: count * wire.USE_KEY.size])
            for (payer, file, cgroup, process), pages in zip(rows, amounts, strict=True):
                yield payer, file, User(cgroup, process), pages


def _weight(item: tuple[Use, Counter[User]]) -> int:
    return item[1].total()
