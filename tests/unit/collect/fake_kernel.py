"""A kernel small enough to know the truth: cgroups, files with pages, events and the walk.

`FakeKernel` answers for kernel.session.Session. `Rig` runs a real Collector on it, with
cgroups that are plain directories.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from memtrace.collect.collector import Collector
from memtrace.host.hierarchy import Hierarchy
from memtrace.kernel.errors import BpfError
from memtrace.kernel.session import Walked
from memtrace.samples import CgroupSample, Feature, Sample
from tests.unit.collect import records
from tests.unit.collect.records import DISK, TMPFS, UNLINK, WRITE, Chunk

PAGE = os.sysconf("SC_PAGE_SIZE")
BY = records.process(100)
MAGICS = {3: 0x62646576, TMPFS: 0x01021994}
WANTED_ROOM = 16384
"""max_entries of the map `wanted`."""


class FakeKernel:
    """True pages by (cgroup, file), and everything a Session tells about them."""

    engine = "libbpf"

    def __init__(self) -> None:
        self.unflushed = 0
        self.pages: Counter[tuple[int, bytes]] = Counter()
        self.devices = [3, DISK, TMPFS]
        self.rows: Counter[tuple[int, bytes, bytes, int]] = Counter()
        self.sums: dict[int, tuple[Counter[int], Counter[int]]] = {}
        self.ring: list[bytes] = []
        self.baseline: dict[tuple[int, bytes], int] = {}
        self.now: dict[tuple[int, bytes], int] = {}
        self.wanted: set[bytes] = set()
        self.named: list[bytes] = []
        self.forgotten: list[bytes] = []
        self.interrupt: Callable[[], None] = lambda: None  # called all through a walk
        self.walks: list[tuple[int, int]] = []
        self.owners: dict[bytes, int] = {}

    # --- what happens ---

    def add(self, cgroup: int, file: bytes, pages: int, kind: int = WRITE) -> None:
        """Pages come in, and an event tells it."""
        self.pages[cgroup, file] += pages
        self.tell_added(cgroup, file, pages, kind)

    def tell_added(
        self, cgroup: int, file: bytes, pages: int, kind: int = WRITE, by: bytes = BY
    ) -> None:
        """The event alone: of shared memory it may come late, or twice, or never."""
        self._sums(cgroup)[0][kind] += pages
        self.rows[cgroup, file, by, kind] += pages

    def remove(self, cgroup: int, file: bytes, pages: int, kind: int = UNLINK) -> None:
        """Pages go, as many as there are, and an event tells it."""
        pages = min(pages, self.pages[cgroup, file])
        self.pages[cgroup, file] -= pages
        if pages:
            self._sums(cgroup)[1][kind - 16] += pages
            self.rows[cgroup, file, bytes(8), kind] += pages

    def resident(self, cgroup: int) -> int:
        """The truth about one cgroup."""
        return sum(pages for (owner, _), pages in self.pages.items() if owner == cgroup)

    def _sums(self, cgroup: int) -> tuple[Counter[int], Counter[int]]:
        return self.sums.setdefault(cgroup, (Counter(), Counter()))

    # --- what a Session tells ---

    def gather(self) -> Iterator[Chunk]:
        rows, self.rows = dict(self.rows), Counter()
        return iter([records.chunk(rows)] if rows else [])

    def totals(self) -> Iterator[Chunk]:
        if self.sums:
            keys = b"".join(struct.pack("<Q", cgroup) for cgroup in self.sums)
            values = b"".join(records.total(*sums) for sums in self.sums.values())
            yield memoryview(bytearray(keys)), memoryview(bytearray(values)), len(self.sums)

    def total(self, cgroup: int) -> bytes | None:
        return records.total(*self.sums[cgroup]) if cgroup in self.sums else None

    def drop_total(self, cgroup: int) -> None:
        self.sums.pop(cgroup, None)

    def removed_owners(self) -> Iterator[tuple[bytes, int]]:
        return iter(list(self.owners.items()))

    def drop_removed_owner(self, key: bytes) -> None:
        del self.owners[key]

    def losses(self) -> list[int]:
        return [1, 2, 3, 4, 5, 0, 0, 0]

    def recursion_misses(self) -> int:
        return 6

    def drain_events(self, callback: Callable[[memoryview], None]) -> int:
        waiting, self.ring = self.ring, []
        for record in waiting:
            callback(memoryview(record))
        return len(waiting)

    def forget_file(self, file: bytes) -> None:
        self.forgotten.append(file)

    # --- the walk ---

    def load_walker(self) -> None:
        pass

    def superblocks(self) -> Iterator[tuple[int, Walked]]:
        for index in range(100_000):
            answer = self.walk(index, 0)
            if not answer.found:
                return
            yield index, answer

    def walk(self, index: int, flags: int) -> Walked:
        if index >= len(self.devices):
            return Walked(False, 0, 0, 0, 0, 0, False, 0, 0)
        device = self.devices[index]
        magic = MAGICS.get(device, 0xEF53)
        if not flags & 6:
            return Walked(True, 0, 0, 0, 0, 0, False, device, magic)
        self.walks.append((device, flags))
        files = {file for _, file in self.pages if _device(file) == device}
        if flags & 1:
            files &= self.wanted
        found = sum(self._visit(file, flags) for file in sorted(files))
        return Walked(True, len(files), len(files), found, 0, 0, False, device, magic)

    def _visit(self, file: bytes, flags: int) -> int:
        """One inode; pages come and go between the owners being counted."""
        self.interrupt()
        if flags & 2:
            self.named.append(file)
            self.ring.append(records.path_event(file, b"named-%d" % _inode(file)))
        found = 0
        for cgroup in sorted({owner for owner, of in self.pages if of == file}):
            pages = self.pages[cgroup, file]
            if pages and flags & 4:
                (self.now if flags & 8 else self.baseline)[cgroup, file] = pages
                found += pages
            self.interrupt()
        return found

    def want(self, files: list[bytes]) -> None:
        if len(files) > WANTED_ROOM:
            raise BpfError(7, "write map wanted")  # E2BIG
        self.wanted = set(files)

    def baseline_rows(self) -> Iterator[Chunk]:
        yield _walked(self.baseline)

    def resident_rows(self) -> Iterator[Chunk]:
        found, self.now = self.now, {}
        yield _walked(found)

    def baseline_row(self, cgroup: int, file: bytes) -> int:
        return self.baseline.get((cgroup, file), 0)

    def forget_baseline_row(self, cgroup: int, file: bytes) -> None:
        self.baseline.pop((cgroup, file), None)

    def forget_baseline(self) -> None:
        self.baseline.clear()


def _walked(rows: dict[tuple[int, bytes], int]) -> Chunk:
    keys = b"".join(struct.pack("<Q16s", cgroup, file) for cgroup, file in rows)
    values = b"".join(
        struct.pack("<QII", pages, 1, _device(file) == TMPFS) for (_, file), pages in rows.items()
    )
    return memoryview(bytearray(keys)), memoryview(bytearray(values)), len(rows)


def _device(file: bytes) -> int:
    return int.from_bytes(file[8:12], "little")


def _inode(file: bytes) -> int:
    return int.from_bytes(file[:8], "little")


class Rig:
    """A Collector on a FakeKernel. The cgroups given to it are there before it starts."""

    def __init__(
        self,
        *older: str,
        kernel: FakeKernel | None = None,
        features: dict[str, Feature] | None = None,
    ) -> None:
        self.kernel = kernel or FakeKernel()
        self._home = tempfile.TemporaryDirectory()
        root = Path(self._home.name)
        self.mount = root / "cgroup"
        self.mount.mkdir()
        for path in older:
            (self.mount / path.lstrip("/")).mkdir()
        self.hierarchy = Hierarchy("v1", self.mount, 4, 1)
        self.collector = Collector(self.kernel, self.hierarchy, features or {}, root, True)  # type: ignore[arg-type]

    def id(self, path: str) -> int:
        """A directory's cgroup id."""
        return (self.mount / path.lstrip("/")).stat().st_ino

    def tell(self, change: int, cgroup: int, path: str, parent: str = "/") -> None:
        """The event of a cgroup coming or going."""
        self.kernel.ring.append(records.cgroup_event(change, cgroup, self.id(parent), path))

    def sample(self) -> Sample:
        """One sample."""
        return self.collector.sample()

    def row(self, path: str, sample: Sample | None = None) -> CgroupSample:
        """The one row with this path."""
        (found,) = [row for row in (sample or self.sample()).cgroups if row.path == path]
        return found


def resident(row: CgroupSample) -> int | None:
    """baseline + added - removed, in pages, of a row itself."""
    ledger = row.ledger
    if ledger.baseline_bytes is None:
        return None
    return (ledger.baseline_bytes + sum(ledger.added) - sum(ledger.removed)) // PAGE


def departed(row: CgroupSample) -> int | None:
    """The same of what was folded into it."""
    ledger = row.ledger
    if ledger.departed_baseline_bytes is None:
        return None
    gone = sum(ledger.departed_added) - sum(ledger.departed_removed)
    return (ledger.departed_baseline_bytes + gone) // PAGE
