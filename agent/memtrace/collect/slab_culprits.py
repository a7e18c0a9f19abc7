"""Who had kernel objects allocated, added up by cgroup, as rows for a Sample.

Bounded: of many rows of one cgroup the smaller ones become one for each name of a process.
Knows neither the kernel's maps nor when they are filled (slab_watch.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import nlargest
from operator import attrgetter
from typing import NamedTuple

from memtrace.collect.syscalls import syscall_name
from memtrace.kernel import wire
from memtrace.samples import SlabCulpritRow

SHOWN = 24
"""Rows of each cgroup in a Sample, as of the ledger."""
MAX_ROWS = 128
"""Processes kept apart in one cgroup; and as many kinds of merged rows."""
UNNAMED = "unnamed cache"


class Who(NamedTuple):
    """A process (wire.PROCESS) in a system call, allocating from a cache."""

    cache: str
    process: bytes
    syscall: int
    compat: int


@dataclass(slots=True)
class _Amount:
    objects: int = 0
    bytes: int = 0
    recent: int = 0

    def add(self, objects: int, amount: int, recent: int) -> None:
        self.objects += objects
        self.bytes += amount
        self.recent += recent


_bytes = attrgetter("bytes")
Comm = Callable[[bytes], str | None]


@dataclass(slots=True)
class CgroupCulprits:
    """One cgroup's own rows. `changed` since the last `rows`."""

    allocated: int = 0
    changed: bool = False
    _rows: dict[Who, _Amount] = field(default_factory=dict)
    _merged: dict[tuple[str, str | None, str | None], _Amount] = field(default_factory=dict)

    def add(self, who: Who, objects: int, each: int) -> None:
        """So many more objects of `each` bytes."""
        amount = objects * each
        self._rows.setdefault(who, _Amount()).add(objects, amount, amount)
        self.allocated += amount
        self.changed = True

    def take(self, other: CgroupCulprits) -> None:
        """Add what a released child had."""
        for who, has in other._rows.items():
            self._rows.setdefault(who, _Amount()).add(has.objects, has.bytes, 0)
        for name, has in other._merged.items():
            self._merged.setdefault(name, _Amount()).add(has.objects, has.bytes, 0)
        self.allocated += other.allocated
        self.changed = True

    def rows(self, comm: Comm) -> tuple[SlabCulpritRow, ...]:
        """The largest rows, named. Begins a new interval."""
        self._bound(comm)
        self.changed = False
        made = [_row(who, has, comm) for who, has in self._rows.items()]
        merged = [
            SlabCulpritRow(cache, 0, 0, name, call, has.objects, has.bytes, has.recent)
            for (cache, name, call), has in self._merged.items()
        ]
        if len(made) + len(merged) > SHOWN:
            made = merge(made + merged)
        else:
            made += merged
        for has in (*self._rows.values(), *self._merged.values()):
            self.changed = bool(has.recent) or self.changed
            has.recent = 0
        return tuple(nlargest(SHOWN, made, key=_bytes))

    def _bound(self, comm: Comm) -> None:
        if len(self._rows) <= MAX_ROWS:
            return
        kept = nlargest(MAX_ROWS // 2, self._rows.items(), key=lambda item: item[1].bytes)
        for who in self._rows.keys() - {who for who, _ in kept}:
            has = self._rows.pop(who)
            name = (who.cache, comm(who.process), syscall_name(who.syscall, bool(who.compat)))
            self._merged.setdefault(name, _Amount()).add(has.objects, has.bytes, has.recent)
        if len(self._merged) > MAX_ROWS:  # what is given up stays in `allocated`
            most = nlargest(MAX_ROWS // 2, self._merged.items(), key=lambda item: item[1].bytes)
            self._merged = dict(most)


def merge(rows: list[SlabCulpritRow]) -> list[SlabCulpritRow]:
    """One row for each cache, name and system call; its process only where it is a single one."""
    found: dict[tuple[str, str | None, str | None], SlabCulpritRow] = {}
    for row in rows:
        key = row.cache, row.comm, row.syscall
        same = found.get(key)
        found[key] = row if same is None else _sum(same, row)
    return list(found.values())


def _sum(left: SlabCulpritRow, right: SlabCulpritRow) -> SlabCulpritRow:
    one = (left.tgid, left.start) == (right.tgid, right.start)
    return left._replace(
        tgid=left.tgid if one else 0,
        start=left.start if one else 0,
        objects=left.objects + right.objects,
        bytes=left.bytes + right.bytes,
        recent_bytes=left.recent_bytes + right.recent_bytes,
    )


def _row(who: Who, has: _Amount, comm: Comm) -> SlabCulpritRow:
    tgid, start = wire.PROCESS.unpack(who.process)
    call = syscall_name(who.syscall, bool(who.compat))
    name = comm(who.process)
    return SlabCulpritRow(who.cache, tgid, start, name, call, has.objects, has.bytes, has.recent)
