"""From a cgroup's ledger to the rows a Sample carries: the largest, named, in bytes."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import TypeVar

from memtrace.collect.container_paths import Place, nowhere
from memtrace.collect.ledger import (
    FILE_METADATA,
    FILE_SHMEM,
    FILE_UNLINKED,
    ROWS,
    CgroupLedger,
    DriverKey,
    DriverPages,
    FileKey,
    FilePages,
)
from memtrace.collect.names import Names
from memtrace.collect.syscalls import syscall_name
from memtrace.kernel import wire
from memtrace.samples import KINDS, DriverRow, FileId, FileRow, Ledger, ProcessRow

Key = TypeVar("Key")
Row = TypeVar("Row")


def sample_ledger(ledger: CgroupLedger, names: Names, page: int, place: Place = nowhere) -> Ledger:
    """The Sample's view of one ledger; `page` is the bytes of a page."""
    known = ledger.baseline is not None
    return Ledger(
        added=_bytes(ledger.added, page),
        removed=_bytes(ledger.removed, page),
        departed_added=_bytes(ledger.departed_added, page),
        departed_removed=_bytes(ledger.departed_removed, page),
        departed_baseline_bytes=_scaled(ledger.departed_baseline, page),
        overflow_bytes=ledger.overflow * page,
        baseline_bytes=_scaled(ledger.baseline, page),
        baseline_exact=known and not ledger.unsettled,
        drivers=tuple([_driver(*item, names, page, place) for item in _top_drivers(ledger)]),
        files=tuple([_file(*item, names, page, known, place) for item in _top_files(ledger)]),
        processes=tuple([_process(*item, names, page) for item in _top_processes(ledger)]),
    )


def top_files(ledger: CgroupLedger) -> list[FileKey]:
    """The files a Sample will show: those that need a name."""
    return [file for file, _ in _top_files(ledger)]


def cached_files(ledger: CgroupLedger) -> list[FileKey]:
    """Of these, the files that are still in the cache, as far as is known."""
    return [file for file, row in _top_files(ledger) if row.resident > 0]


def nameless_files(made: Ledger) -> list[FileKey]:
    """The files of a Sample's rows whose path was not told."""
    nameless = (row.file for row in made.files if row.path is None and row.file is not None)
    return [wire.FILE.pack(file.inode, file.device, file.generation) for file in nameless]


def shown_processes(ledger: CgroupLedger) -> Iterator[bytes]:
    """The processes a Sample will name, some more than once."""
    for (_, process, _), _ in _top_drivers(ledger):
        yield process
    for process, _ in _top_processes(ledger):
        yield process


def growing_files(ledger: CgroupLedger) -> set[FileKey]:
    """The files behind the latest growth, as many as a Sample shows rows."""
    return {key[0] for key, _ in _latest(ledger)}


def _top_drivers(ledger: CgroupLedger) -> list[tuple[DriverKey, DriverPages]]:
    """The largest ever and the largest of this interval."""
    chosen = _largest([(row.pages, key) for key, row in ledger.drivers.items()], ledger.drivers)
    if ledger.fresh and len(ledger.drivers) > ROWS:
        have = {key for key, _ in chosen}
        chosen += [item for item in _latest(ledger) if item[0] not in have]
    return chosen


def _latest(ledger: CgroupLedger) -> list[tuple[DriverKey, DriverPages]]:
    """Rows that grew in this interval; not those that got another owner or were cut meanwhile."""
    drivers = ledger.drivers
    current = [(row.recent, key) for key, row in ledger.fresh if drivers.get(key) is row]
    return _largest(current, drivers)


def _top_files(ledger: CgroupLedger) -> list[tuple[FileKey, FilePages]]:
    files = ledger.files
    if len(files) <= ROWS:
        return list(files.items())
    return [(file, files[file]) for file in ledger.largest_files.of(files)]


def _top_processes(ledger: CgroupLedger) -> list[tuple[bytes, int]]:
    processes = ledger.processes
    return _largest([(pages, key) for key, pages in processes.items()], processes)


def _largest(amounts: list[tuple[int, Key]], table: dict[Key, Row]) -> list[tuple[Key, Row]]:
    """The ROWS largest; of equal ones those that came first."""
    amounts.sort(key=_amount, reverse=True)
    return [(key, table[key]) for _, key in amounts[:ROWS]]


_amount = itemgetter(0)


def _file_id(file: FileKey) -> FileId:
    inode, device, generation = wire.FILE.unpack(file)
    return FileId(device, inode, generation)


def _driver(key: DriverKey, row: DriverPages, names: Names, page: int, place: Place) -> DriverRow:
    """The row, or the very one made before when nothing in it changed."""
    added, recent = row.pages * page, row.recent * page
    made = row.made
    if made is None or (made.added_bytes, made.recent_bytes) != (added, recent):
        made = row.made = _new_driver(key, row, names, page, place)
    return made


def _new_driver(
    key: DriverKey, row: DriverPages, names: Names, page: int, place: Place
) -> DriverRow:
    file, process, kind = key
    path = names.path(file)
    return DriverRow(
        _file_id(file),
        path,
        place(file, path, row.made),
        wire.PROCESS.unpack(process)[0],
        names.comm(process),
        KINDS[kind] if kind < len(KINDS) else "other",
        syscall_name(row.syscall, bool(row.compat)),
        row.pages * page,
        row.recent * page,
    )


def _file(
    file: FileKey, row: FilePages, names: Names, page: int, known: bool, place: Place
) -> FileRow:
    """The row, or the very one made before when nothing in it changed."""
    made = row.made
    if made is None or not _same(made, row, page, known):
        made = row.made = _new_file(file, row, names, page, known, place)
    return made


def _same(made: FileRow, row: FilePages, page: int, known: bool) -> bool:
    baseline = row.baseline * page if known else None
    now = (baseline, row.added * page, row.removed * page)
    return (made.baseline_bytes, made.added_bytes, made.removed_bytes) == now


def _new_file(
    file: FileKey, row: FilePages, names: Names, page: int, known: bool, place: Place
) -> FileRow:
    path = names.path(file)
    identity = _file_id(file)
    return FileRow(
        identity,
        path,
        place(file, path, row.made),
        bool(row.flags & FILE_UNLINKED) or names.deleted(file),
        bool(row.flags & FILE_SHMEM),
        bool(row.flags & FILE_METADATA) or (identity.inode == 0 and identity.device != 0),
        row.baseline * page if known else None,
        row.added * page,
        row.removed * page,
    )


def _process(process: bytes, pages: int, names: Names, page: int) -> ProcessRow:
    tgid, start = wire.PROCESS.unpack(process)
    return ProcessRow(tgid, start, names.comm(process), pages * page)


def _bytes(pages: list[int], page: int) -> tuple[int, ...]:
    return tuple([count * page for count in pages])


def _scaled(pages: int | None, page: int) -> int | None:
    return None if pages is None else pages * page
