"""One cgroup's own ledger as tables by identity: drivers, files and processes.

A file is (device, inode, generation), a driver that and (process, kind of I/O), a
process its id and start. Knows nothing of the hierarchy; rows.py adds tables up.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from memtrace.model.totals import plus
from memtrace.model.uses import joined
from memtrace.samples import DriverRow, FileRow, Ledger, ProcessRow

DriverKey = tuple[int, int, int, int, str]
FileKey = tuple[int, int, int]
ProcessKey = tuple[int, int]
# Plain tuples in the order of shapes.Driver, File and Process: there are many of them.
DriverEntry = tuple[DriverRow, int, int | None]
FileEntry = tuple[FileRow, int | None, int | None, int, int, str]
ProcessEntry = tuple[ProcessRow, int]

_NO_FILE = (-1, -1)  # no device has these numbers
_UNNAMED_SHMEM: FileKey = (*_NO_FILE, 1)


def drivers(ledger: Ledger, deltas_known: bool) -> dict[DriverKey, DriverEntry]:
    """Return the drivers with what each added since the previous sample, if there was one.

    The collector gives each driver one row; of two for the same one, the last is listed.
    """
    rows = ledger.drivers
    return {
        key: (row, row.added_bytes, row.recent_bytes if deltas_known else None)
        for key, row in zip(_driver_keys(rows), rows, strict=True)
    }


def _driver_keys(rows: tuple[DriverRow, ...]) -> list[DriverKey]:
    """Return what tells the drivers of a cgroup apart; one loop, as there are many rows."""
    return [
        (file.device, file.inode, file.generation, row.tgid, row.kind)
        if (file := row.file) is not None
        else (*_NO_FILE, 0, row.tgid, row.kind)
        for row in rows
    ]


def combine_drivers(left: DriverEntry, right: DriverEntry) -> DriverEntry:
    """Add the same driver of two cgroups."""
    row = left[0] if left[0].path is not None else right[0]
    return (row, left[1] + right[1], plus(left[2], right[2]))


def files(ledger: Ledger, payer: str) -> dict[FileKey, FileEntry]:
    """Return the files with what is resident of each, never negative, charged to `payer`.

    A fault on shared memory does not tell its file, a removal does. So a shmem file may
    have lost more than it got; the unnamed shmem row has got what it lacks and pays for
    it. Any other file below zero missed an addition: its resident amount is unknown.
    """
    table: dict[FileKey, FileEntry] = {}
    deficit = 0
    for row in ledger.files:
        resident = _balance(row)
        if resident is not None and resident < 0:
            named_shmem = row.shmem and row.file is not None
            deficit -= resident if named_shmem else 0
            resident = 0 if named_shmem else None
        entry = (row, resident, row.baseline_bytes, row.added_bytes, row.removed_bytes, payer)
        key = _file_key(row)
        table[key] = combine_files(table[key], entry) if key in table else entry
    if deficit and _UNNAMED_SHMEM in table:
        table[_UNNAMED_SHMEM] = _charged(table[_UNNAMED_SHMEM], deficit)
    return table


def combine_files(left: FileEntry, right: FileEntry) -> FileEntry:
    """Add the same file of two cgroups; what it is called, and who pays, is the larger one's."""
    larger = left if _held(left) >= _held(right) else right
    row = larger[0]
    if row.path is None:
        row = right[0] if larger is left else left[0]
    if left[0].uses is not None or right[0].uses is not None:
        row = row._replace(uses=joined(left[0].uses, right[0].uses))
    return (
        row,
        plus(left[1], right[1]),
        plus(left[2], right[2]),
        left[3] + right[3],
        left[4] + right[4],
        larger[5],
    )


def _held(entry: FileEntry) -> int:
    """Return what is resident; where that is unknown, what was added and not removed."""
    return entry[3] - entry[4] if entry[1] is None else entry[1]


def processes(ledger: Ledger) -> dict[ProcessKey, ProcessEntry]:
    """Return the processes with what each added."""
    return {(row.tgid, row.start): (row, row.added_bytes) for row in ledger.processes}


def combine_processes(left: ProcessEntry, right: ProcessEntry) -> ProcessEntry:
    """Add the same process in two cgroups: it was moved. Its facts only grow: the newest."""
    facts = map(_newest, _facts(left[0]), _facts(right[0]))
    row = left[0]
    return (ProcessRow(row.tgid, row.start, row.comm, row.added_bytes, *facts), left[1] + right[1])


_facts = attrgetter("peak_rss_bytes", "disk_read_bytes", "disk_write_bytes", "stall_seconds")


def _newest(left: float | None, right: float | None) -> Any:
    return max((fact for fact in (left, right) if fact is not None), default=None)


def _file_key(row: FileRow) -> FileKey:
    file = row.file
    if file is None:
        return (*_NO_FILE, int(row.shmem))
    return (file.device, file.inode, file.generation)


def _balance(row: FileRow) -> int | None:
    if row.baseline_bytes is None:
        return None
    return row.baseline_bytes + row.added_bytes - row.removed_bytes


def _charged(entry: FileEntry, deficit: int) -> FileEntry:
    row, resident, baseline, added, removed, payer = entry
    paid = None if resident is None else max(0, resident - deficit)
    return (row, paid, baseline, added, removed, payer)
