"""From which code pages entered the page cache: sampled stacks, read while they are asked for.

Bounded, and without names: program counters are golang/'s and ELF's to translate.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Set
from heapq import nlargest
from operator import itemgetter
from typing import NamedTuple

from memtrace.collect.watches.on_demand import Watch
from memtrace.kernel import wire
from memtrace.kernel.batch import Chunk
from memtrace.kernel.plan import STACKS, OnDemand
from memtrace.kernel.session import Session

PERIOD = 64
"""Pages for each sample: a quarter of a MiB."""
MAX_ROWS = 4096
"""Rows that are remembered; from there on the smallest half is given up."""
EXACTNESS = f"sampled: one of {PERIOD} pages, by chance"


Counted = tuple[int, int, int]  # pages, samples, where the code begins


class Place(NamedTuple):
    """What tells rows apart. `file` is a wire.FILE, `process` a wire.PROCESS, `kind` of KINDS."""

    cgroup_id: int
    file: bytes
    process: bytes
    kind: int
    pcs: bytes


class StackRow(NamedTuple):
    """Pages that one stack of a process put into one file's cache, estimated from samples.

    `pcs`: return addresses, the innermost first; at most wire.STACK_DEPTH; none of the kernel's
    own threads. `text`: where the program's own code begins in memory (mm.start_code), which is
    the lowest executable segment's address plus where the kernel put the program; None: unknown.
    """

    cgroup_id: int
    file: bytes
    tgid: int
    start: int
    kind: int
    pcs: tuple[int, ...]
    bytes: int
    samples: int
    text: int | None


class StackTable:
    """Estimated pages and samples by place, added up.

    `changed`: cgroups with news since it was cleared. `given_up`: pages of rows that had to go.
    """

    def __init__(self) -> None:
        self._rows: dict[Place, Counted] = {}
        self.changed: set[int] = set()
        self.given_up = 0

    def add(self, place: Place, pages: int, samples: int, text: int) -> None:
        """Count one row of the kernel's."""
        before = self._rows.get(place, (0, 0, 0))
        self._rows[place] = before[0] + pages, before[1] + samples, text
        self.changed.add(place.cgroup_id)
        if len(self._rows) > MAX_ROWS:
            kept = nlargest(MAX_ROWS // 2, self._rows.items(), key=lambda item: item[1])
            total = sum(row[0] for row in self._rows.values())
            self._rows = dict(kept)
            self.given_up += total - sum(row[0] for row in self._rows.values())

    def rows(self, page: int) -> list[StackRow]:
        """Everything so far; `page` is the bytes of a page."""
        return [row_of(place, amounts, page) for place, amounts in self._rows.items()]

    def items(self, cgroups: Set[int] | None) -> list[tuple[Place, Counted]]:
        """What `row_of` makes rows of, of these cgroups or of all; the most pages first."""
        found = [
            item for item in self._rows.items() if cgroups is None or item[0].cgroup_id in cgroups
        ]
        found.sort(key=itemgetter(1), reverse=True)
        return found

    def clear(self) -> None:
        """Forget everything."""
        self.changed |= {place.cgroup_id for place in self._rows}
        self._rows.clear()
        self.given_up = 0


class StackWatch(Watch):
    """bpf/stacks.bpf.c. `table`: what it told so far. `period`: pages for each sample."""

    def __init__(self, session: Session, plan: OnDemand, period: int = PERIOD) -> None:
        self.table = StackTable()
        super().__init__(session, STACKS, plan, EXACTNESS, self.table)
        self._settings["cfg_stack_period"] = struct.pack("<I", period)

    def gather(self) -> None:
        """Take what the kernel counted; the session has just turned its epoch."""
        if self._opened is None:
            return
        for place, pages, samples, text in decode(self._opened.map(self._left("stacks")).drain()):
            self.table.add(place, pages, samples, text)


def decode(chunks: Iterable[Chunk]) -> Iterator[tuple[Place, int, int, int]]:
    """Place, pages, samples and `text` of each row of the kernel's table."""
    for keys, values, count in chunks:
        amounts = wire.STACK_VALUE.iter_unpack(values[: count * wire.STACK_VALUE.size])
        rows = wire.STACK_KEY.iter_unpack(keys[: count * wire.STACK_KEY.size])
        for row, (pages, samples, text) in zip(rows, amounts, strict=True):
            cgroup, file, process, kind, pcs = row
            yield Place(cgroup, file, process, kind, pcs.rstrip(b"\0")), pages, samples, text


def row_of(place: Place, amounts: Counted, page: int) -> StackRow:
    """A row with its addresses; `page` is the bytes of a page."""
    pages, samples, text = amounts
    tgid, start = wire.PROCESS.unpack(place.process)
    pcs = place.pcs + bytes(-len(place.pcs) % 8)  # an address may end in zeros
    return StackRow(
        place.cgroup_id,
        place.file,
        tgid,
        start,
        place.kind,
        struct.unpack(f"<{len(pcs) // 8}Q", pcs),
        pages * page,
        samples,
        text or None,
    )
