"""The largest drivers, files and processes of a cgroup with all below it.

What a list leaves out is its `other` amount, taken from the exact totals, so that shown
and other always add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import itemgetter
from typing import NamedTuple

from memtrace.model import ledger_rows as own
from memtrace.model.rank import join, ordered, top
from memtrace.model.shapes import Driver, File, Process, Rows
from memtrace.model.totals import Totals
from memtrace.samples import Ledger

_added = itemgetter(1)
# In C, because there are many: the tables hold what these classes hold, in the same order.
_driver = partial(tuple.__new__, Driver)
_file = partial(tuple.__new__, File)
_process = partial(tuple.__new__, Process)


class Tables(NamedTuple):
    """Rows by what they are of, largest first. Never changed, so they may be used again.

    `growing` is the driver that added most of late, of those below as far as they know it.
    """

    drivers: dict[own.DriverKey, own.DriverEntry]
    files: dict[own.FileKey, own.FileEntry]
    processes: dict[own.ProcessKey, own.ProcessEntry]
    growing: own.DriverEntry | None


def own_tables(ledger: Ledger, path: str, deltas_known: bool) -> Tables:
    """Return the rows of a cgroup alone. `deltas_known`: there was a sample before this one."""
    drivers = ordered(own.drivers(ledger, deltas_known), _added)
    return Tables(
        drivers,
        ordered(own.files(ledger, path), _file_rank),
        ordered(own.processes(ledger), _added),
        max((entry for entry in drivers.values() if entry[2]), key=_growth, default=None),
    )


def joined_tables(parts: Sequence[Tables]) -> Tables:
    """Return the rows of a cgroup and its children."""
    drivers = join([part.drivers for part in parts], own.combine_drivers, _added)
    growing = [part.growing for part in parts if part.growing is not None]
    return Tables(
        drivers,
        join([part.files for part in parts], own.combine_files, _file_rank),
        join([part.processes for part in parts], own.combine_processes, _added),
        max(growing, key=_growth, default=None),
    )


def rows_of(tables: Tables, totals: Totals) -> Rows:
    """Draw up the lists."""
    total = sum(totals.added)
    drivers, files, processes = top(tables.drivers), top(tables.files), top(tables.processes)
    return Rows(
        tuple(map(_driver, drivers)),
        total - sum(map(_added, drivers)),
        tuple(map(_file, files)),
        _other_resident(totals.attributed_bytes, files),
        tuple(map(_process, processes)),
        total - sum(map(_added, processes)),
        _cause(tables, drivers),
    )


def _cause(tables: Tables, drivers: list[own.DriverEntry]) -> Driver | None:
    """Return the driver that grew most of late; else the largest ever; None without rows."""
    if tables.growing is not None:
        return Driver._make(tables.growing)
    return Driver._make(drivers[0]) if drivers else None


def _growth(entry: own.DriverEntry) -> int:
    return entry[2] or 0


def _file_rank(entry: own.FileEntry) -> int:
    """Order by what is resident; where that is unknown, by what was added and not removed."""
    resident = entry[1]
    return max(0, entry[3] - entry[4]) if resident is None else resident


def _other_resident(attributed: int | None, files: list[own.FileEntry]) -> int | None:
    """Return what is resident beyond the files shown with a known amount."""
    if attributed is None:
        return None
    return attributed - sum(entry[1] for entry in files if entry[1] is not None)
