"""One cgroup's share of the joint ledger, summed over the kernel's interval ledgers.

Pure accumulation, in pages. Totals come from the kernel's own never-evicted map and
are exact; rows are bounded, and what a bound pushes out is the difference between
the rows' sum and the totals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import nlargest
from typing import TypeVar

from memtrace.collect.leaders import Leaders
from memtrace.kernel import wire
from memtrace.samples import KINDS, REASONS, DriverRow, FileRow

KIND_COUNT = len(KINDS)
REASON_COUNT = len(REASONS)
METADATA = KINDS.index("metadata")
SHMEM = KINDS.index("shmem")
UNLINK = REASONS.index("unlink")
REASON_OTHER = REASONS.index("other")

ROWS = 24
"""Rows of each list in a Sample: more than a view shows, so that parents can merge them."""
KEPT_LEADERS = 4 * ROWS
MAX_ROWS = 512
"""Driver rows, and processes, kept for one cgroup between two samples."""
MAX_FILES = 8192
MANY_FILES = 96
"""From here on files with nothing left in the cache are given up, and again at twice what stays."""
FIRST_FILES, RECENT_FILES = 24, 24
"""Of the first and of the latest files, how many are kept although nothing is left of them.

Of files that have equally little the first are shown: so these rows stay as they are.
"""
ENDED_ROWS = 24
"""Driver rows kept of deleted files that were given up: as many as a Sample shows."""
KEPT = 0.5
"""The share of the largest that stays when a cgroup has more."""

Key = TypeVar("Key")
Row = TypeVar("Row")
ProcessKey = bytes
FileKey = bytes
DriverKey = tuple[FileKey, ProcessKey, int]


class FilePages:
    """One file's pages in one cgroup: resident = baseline + added - removed."""

    __slots__ = ("added", "baseline", "flags", "made", "removed")

    def __init__(self) -> None:
        self.baseline = 0
        self.added = 0
        self.removed = 0
        self.flags = 0
        self.made: FileRow | None = None  # the row last shown, while it is still right

    @property
    def net(self) -> int:
        return self.added - self.removed

    @property
    def resident(self) -> int:
        return self.baseline + self.added - self.removed


FILE_METADATA, FILE_SHMEM, FILE_UNLINKED = 1, 2, 4


class DriverPages:
    """One ledger row: pages so far, pages since the last sample, the latest system call."""

    __slots__ = ("compat", "made", "pages", "recent", "syscall")

    def __init__(self, syscall: int, compat: int) -> None:
        self.pages = 0
        self.recent = 0
        self.syscall = syscall
        self.compat = compat
        self.made: DriverRow | None = None  # the row last shown, while it is still right


class CgroupLedger:
    """Everything added to and removed from one cgroup since the programs were attached."""

    def __init__(self) -> None:
        self.drivers: dict[DriverKey, DriverPages] = {}
        self.files: dict[FileKey, FilePages] = {}
        self.largest_files: Leaders[FileKey, FilePages] = Leaders(ROWS, KEPT_LEADERS, _resident)
        self.processes: dict[ProcessKey, int] = {}
        self.added = [0] * KIND_COUNT
        self.removed = [0] * REASON_COUNT
        self.overflow = 0
        self.missed = 0  # shmem pages that no event told, found by a walk; part of `added`
        self.overtold = 0  # shmem pages told twice, or removed untold; part of `removed`
        self.departed_added = [0] * KIND_COUNT
        self.departed_removed = [0] * REASON_COUNT
        self.departed_baseline: int | None = 0
        self.baseline: int | None = None
        self.unsettled = False
        self._told = b""  # the kernel's totals as last read
        self.net = 0  # of all rows so far, kept or cut
        self.cut_shmem = 0  # resident pages of shmem files that were cut
        self.spared: frozenset[FileKey] = frozenset()
        self.many_files = MANY_FILES
        self.ended: set[DriverKey] = set()  # rows of deleted files that were given up
        self.deleted: set[FileKey] = set()  # files whose rows were given up since `take_deleted`
        self.adders: dict[FileKey, ProcessKey] = {}
        self.fresh: list[tuple[DriverKey, DriverPages]] = []  # rows with `recent` pages
        self.changed = True

    def hold(self, file: FileKey, baseline: int) -> None:
        """Keep a file of the baseline, which the cgroup's total already includes."""
        entry = self.files[file] = FilePages()
        entry.baseline = baseline
        self.largest_files.touch(file)

    def row(
        self, file: FileKey, process: ProcessKey, kind: int, value: tuple[int, int, int]
    ) -> FilePages:
        """Add one drained row; returns the file it belongs to."""
        pages, syscall, compat = value
        entry = self.files.get(file)
        if entry is None:
            entry = self.files[file] = FilePages()
        self.changed = True
        self.largest_files.touch(file)
        if kind >= wire.REMOVED:
            entry.removed += pages
            self.net -= pages
            if kind - wire.REMOVED == UNLINK:
                entry.flags |= FILE_UNLINKED
            return entry
        entry.added += pages
        self.net += pages
        if kind == METADATA:
            entry.flags |= FILE_METADATA
        elif kind == SHMEM:
            entry.flags |= FILE_SHMEM
            process = self._adder(file, process)
        if process != wire.NO_PROCESS:
            self.processes[process] = self.processes.get(process, 0) + pages
        self._drive((file, process, kind), pages, syscall, compat)
        return entry

    def correct(self, file: FileKey, missing: int) -> None:
        """Add shmem pages that were not told (or, negative, take away what is not there)."""
        if missing > 0:
            self.missed += missing
            self.added[SHMEM] += missing
            self.row(file, wire.NO_PROCESS, SHMEM, (missing, wire.NO_SYSCALL, 0))
        else:
            self.overtold -= missing
            self.removed[REASON_OTHER] -= missing
            self.row(file, wire.NO_PROCESS, wire.REMOVED + REASON_OTHER, (-missing, 0, 0))

    def _drive(self, key: DriverKey, pages: int, syscall: int, compat: int) -> None:
        driver = self.drivers.get(key)
        if driver is None:
            driver = self.drivers[key] = DriverPages(syscall, compat)
        if not driver.recent:
            self.fresh.append((key, driver))
        driver.pages += pages
        driver.recent += pages
        if syscall != wire.NO_SYSCALL:
            driver.syscall = syscall
            driver.compat = compat

    def _adder(self, file: FileKey, process: ProcessKey) -> ProcessKey:
        """Who adds to a shared file; what was nobody's until now becomes its first adder's."""
        if process == wire.NO_PROCESS:
            return self.adders.get(file, process)
        self.adders[file] = process
        unknown = self.drivers.pop((file, wire.NO_PROCESS, SHMEM), None)
        if unknown is not None:
            self.processes[process] = self.processes.get(process, 0) + unknown.pages
            kept = self.drivers.get((file, process, SHMEM))
            if kept is None:
                self.drivers[file, process, SHMEM] = unknown
            else:
                kept.pages += unknown.pages
                kept.recent += unknown.recent
        return process

    def set_totals(self, packed: bytes) -> None:
        """Take the kernel's cumulative totals (a wire.TOTAL). They never go back."""
        if packed == self._told:
            return
        self._told = packed
        total = wire.TOTAL.unpack(packed)
        added = list(total[:KIND_COUNT])
        added[SHMEM] += self.missed
        start = wire.KIND_NUMBERS
        removed = list(total[start : start + REASON_COUNT])
        removed[REASON_OTHER] += self.overtold
        self.added, self.removed = added, removed
        self.overflow = total[start + wire.REASON_NUMBERS]
        self.changed = True

    def rename(self) -> None:
        """A name in the rows changed: make them anew."""
        self.changed = True
        for driver in self.drivers.values():
            driver.made = None
        for file in self.files.values():
            file.made = None

    def settle_interval(self) -> None:
        """After a sample: nothing is recent any more."""
        self.changed = bool(self.fresh)
        for _, driver in self.fresh:
            driver.recent = 0
        self.fresh.clear()

    def cut(self) -> list[FileKey]:
        """Cut the tables that grew too large; returns the files that are not known any more."""
        if len(self.drivers) > MAX_ROWS:
            self.drivers = _largest(self.drivers, MAX_ROWS, _driver_weight)
        if len(self.processes) > MAX_ROWS:
            self.processes = _largest(self.processes, MAX_ROWS, _second)
        gone = self._drop_gone() if len(self.files) > self.many_files else []
        return gone + (self._cut_files() if len(self.files) > MAX_FILES else [])

    def _drop_gone(self) -> list[FileKey]:
        """Files come and go by the thousand: what left the cache again needs no row."""
        older = list(self.files)[FIRST_FILES:-RECENT_FILES]
        gone = [f for f in older if not self.files[f].resident and f not in self.spared]
        deleted = {f for f in gone if self.files[f].flags & FILE_UNLINKED}
        self.deleted |= deleted
        self._cut_ended(deleted)
        for file in gone:
            del self.files[file]
            self.adders.pop(file, None)
        self.many_files = max(MANY_FILES, 2 * len(self.files))
        return gone

    def _cut_ended(self, deleted: set[FileKey]) -> None:
        """Nobody adds to a deleted file any more: only its largest rows can ever be shown."""
        ended = {
            key: row
            for key, row in self.drivers.items()
            if (key[0] in deleted or key in self.ended) and not row.recent
        }
        kept = nlargest(ENDED_ROWS, ended.items(), key=_driver_weight)
        self.ended = {key for key, _ in kept}
        for key in ended.keys() - self.ended:
            del self.drivers[key]
            self.deleted.add(key[0])

    def take_deleted(self) -> set[FileKey]:
        """Deleted files that were given up since the last call."""
        taken, self.deleted = self.deleted, set()
        return taken

    def files_of_rows(self) -> Iterator[FileKey]:
        """Every file that a row is of, some more than once."""
        yield from self.files
        for file, _, _ in self.drivers:
            yield file

    def _cut_files(self) -> list[FileKey]:
        kept = _largest(self.files, MAX_FILES, _file_weight)
        kept.update((file, self.files[file]) for file in self.spared if file in self.files)
        cut = [file for file in self.files if file not in kept]
        for file in cut:
            self.adders.pop(file, None)
            if self.files[file].flags & FILE_SHMEM:
                self.cut_shmem += self.files[file].resident
        self.files = kept
        return cut

    def end(self) -> None:
        """Released: nothing is left, whatever was told or not yet settled."""
        told = sum(self.removed) - sum(self.added)
        if self.baseline is None or self.unsettled:
            self.baseline = told
        missing = told - self.baseline
        self.added[SHMEM] += max(missing, 0)
        self.removed[REASON_OTHER] += max(-missing, 0)

    def depart(self, child: CgroupLedger) -> None:
        """Take over the totals of a released child: parents count what is gone, too."""
        for kind in range(KIND_COUNT):
            self.departed_added[kind] += child.added[kind] + child.departed_added[kind]
        for reason in range(REASON_COUNT):
            self.departed_removed[reason] += child.removed[reason] + child.departed_removed[reason]
        parts = (self.departed_baseline, child.baseline, child.departed_baseline)
        known = [part for part in parts if part is not None]
        self.departed_baseline = sum(known) if len(known) == len(parts) else None
        self.changed = True


def _largest(
    table: dict[Key, Row], bound: int, weight: Callable[[tuple[Key, Row]], int]
) -> dict[Key, Row]:
    return dict(nlargest(int(bound * KEPT), table.items(), key=weight))


def _resident(file: FilePages) -> int:
    return file.baseline + file.added - file.removed  # the property would cost as much again


def _driver_weight(item: tuple[DriverKey, DriverPages]) -> int:
    return item[1].pages


def _file_weight(item: tuple[FileKey, FilePages]) -> int:
    return abs(item[1].resident) + abs(item[1].net)


def _second(item: tuple[bytes, int]) -> int:
    return item[1]
