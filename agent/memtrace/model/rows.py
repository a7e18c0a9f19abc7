"""The largest drivers, files and processes of every cgroup with all below it.

Tables move up the tree, lowest first; none is changed once made, so one that is as it
was a snapshot ago is used again. What a list leaves out is its `other` amount, taken
from the exact totals, so that shown and other always add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from operator import itemgetter

from memtrace.model import ledger_rows as own
from memtrace.model.memo import Memo
from memtrace.model.rank import join, largest, least
from memtrace.model.shapes import Driver, File, Process, Rows
from memtrace.model.totals import Totals
from memtrace.model.tree import Tree
from memtrace.samples import Ledger

_added = itemgetter(1)
# In C, because there are many: the tables hold what these classes hold, in the same order.
_driver = partial(tuple.__new__, Driver)
_file = partial(tuple.__new__, File)
_process = partial(tuple.__new__, Process)


class _Tables:
    """All rows of a cgroup, alone or with all below it, and the largest of them.

    Never changed, and equal only to itself. A guess is an amount many rows may reach.
    """

    __slots__ = ("drivers", "files", "processes", "top_drivers", "top_files", "top_processes")

    def __init__(
        self,
        drivers: dict[own.DriverKey, own.DriverEntry],
        files: dict[own.FileKey, own.FileEntry],
        processes: dict[own.ProcessKey, own.ProcessEntry],
        driver_guess: int = 0,
        file_guess: int = 0,
        process_guess: int = 0,
    ) -> None:
        self.drivers = drivers
        self.files = files
        self.processes = processes
        self.top_drivers = largest(drivers.values(), _added, driver_guess)
        self.top_files = largest(files.values(), _file_rank, file_guess)
        self.top_processes = largest(processes.values(), _added, process_guess)


class RankMemo:
    """What rank_all worked out one snapshot ago."""

    __slots__ = ("own", "rows", "whole")

    def __init__(self) -> None:
        self.own: Memo[_Tables] = Memo()
        self.whole: Memo[_Tables] = Memo()
        self.rows: Memo[Rows] = Memo()

    def turn(self) -> None:
        """Begin the next snapshot."""
        for memo in (self.own, self.whole, self.rows):
            memo.turn()


def rank_all(
    tree: Tree, totals: Mapping[int, Totals], deltas_known: bool, memo: RankMemo
) -> dict[int, Rows]:
    """Return the lists by cgroup id. `deltas_known`: there was a sample before this one."""
    memo.turn()
    tables: dict[int, _Tables] = {}
    ranked: dict[int, Rows] = {}
    for cgroup in reversed(tree.top_down):
        key = cgroup.cgroup_id
        table = memo.own.recall(key, _own_tables, cgroup.ledger, cgroup.path, deltas_known)
        if key in tree.children:
            below = [tables.pop(child) for child in tree.children[key]]
            table = memo.whole.recall(key, _joined, table, *below)
        tables[key] = table
        ranked[key] = memo.rows.recall(key, _rows, table, totals[key])
    return ranked


def _own_tables(ledger: Ledger, path: str, deltas_known: bool) -> _Tables:
    return _Tables(
        own.drivers(ledger, deltas_known), own.files(ledger, path), own.processes(ledger)
    )


def _joined(*parts: _Tables) -> _Tables:
    """Return the rows of a cgroup and its children."""
    return _Tables(
        join([part.drivers for part in parts], own.combine_drivers),
        join([part.files for part in parts], own.combine_files),
        join([part.processes for part in parts], own.combine_processes),
        max(least(part.top_drivers, _added) for part in parts),
        max(least(part.top_files, _file_rank) for part in parts),
        max(least(part.top_processes, _added) for part in parts),
    )


def _rows(tables: _Tables, totals: Totals) -> Rows:
    """Draw up the lists."""
    total = sum(totals.added)
    drivers, files, processes = tables.top_drivers, tables.top_files, tables.top_processes
    return Rows(
        tuple(map(_driver, drivers)),
        total - sum(map(_added, drivers)),
        tuple(map(_file, files)),
        _other_resident(totals.attributed_bytes, files),
        tuple(map(_process, processes)),
        total - sum(map(_added, processes)),
        _cause(tables),
    )


def _cause(tables: _Tables) -> Driver | None:
    """Return the driver that grew most of late; else the largest ever; None without rows."""
    growing = [entry for entry in tables.drivers.values() if entry[2]]
    if growing:
        most = max(growing, key=_growth)
        return Driver._make(most)
    return Driver._make(tables.top_drivers[0]) if tables.top_drivers else None


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
