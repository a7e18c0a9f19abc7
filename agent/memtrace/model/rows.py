"""The largest drivers, files and processes of every cgroup with all below it.

Tables move up the tree once, lowest first. What a list leaves out is its `other`
amount, taken from the exact totals, so that shown and other always add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from operator import itemgetter

from memtrace.model import ledger_rows as own
from memtrace.model.rank import TOP, join, largest
from memtrace.model.shapes import Driver, File, Process, Rows
from memtrace.model.totals import Totals
from memtrace.model.tree import Tree
from memtrace.samples import CgroupSample

_added = itemgetter(1)
# In C, because there are many: the tables hold what these classes hold, in the same order.
_driver = partial(tuple.__new__, Driver)
_file = partial(tuple.__new__, File)
_process = partial(tuple.__new__, Process)


class _Tables:
    """The rows of one cgroup and of the children joined so far; used up by its parent."""

    __slots__ = ("driver_guess", "drivers", "file_guess", "files", "processes")

    def __init__(self, cgroup: CgroupSample, deltas_known: bool) -> None:
        self.drivers = own.drivers(cgroup.ledger, deltas_known)
        self.files = own.files(cgroup.ledger)
        self.processes = own.processes(cgroup.ledger)
        self.driver_guess = 0
        self.file_guess = 0

    def absorb(self, child: _Tables) -> None:
        """Take over a child's rows."""
        self.drivers = join(self.drivers, child.drivers, own.combine_drivers)
        self.files = join(self.files, child.files, own.combine_files)
        self.processes = join(self.processes, child.processes, own.combine_processes)
        self.driver_guess = max(self.driver_guess, child.driver_guess)
        self.file_guess = max(self.file_guess, child.file_guess)

    def rows(self, totals: Totals) -> Rows:
        """Draw up the lists; call once, after the last child."""
        total = sum(totals.added)
        drivers = largest(self.drivers.values(), _added, self.driver_guess)
        files = largest(self.files.values(), _file_rank, self.file_guess)
        processes = largest(self.processes.values(), _added, 0)
        if len(drivers) == TOP:
            self.driver_guess = drivers[-1][1]
        if len(files) == TOP:
            self.file_guess = _file_rank(files[-1])
        return Rows(
            tuple(map(_driver, drivers)),
            total - sum(map(_added, drivers)),
            tuple(map(_file, files)),
            _other_resident(totals.attributed_bytes, files),
            tuple(map(_process, processes)),
            total - sum(map(_added, processes)),
            self._cause(drivers),
        )

    def _cause(self, drivers: list[own.DriverEntry]) -> Driver | None:
        """Return the driver that grew most of late; else the largest ever; None without rows."""
        growing = [entry for entry in self.drivers.values() if entry[2]]
        if growing:
            most = max(growing, key=_growth)
            return Driver._make(most)
        return Driver._make(drivers[0]) if drivers else None


def rank_all(tree: Tree, totals: Mapping[int, Totals], deltas_known: bool) -> dict[int, Rows]:
    """Return the lists by cgroup id. `deltas_known`: there was a sample before this one."""
    tables = {cgroup.cgroup_id: _Tables(cgroup, deltas_known) for cgroup in tree.top_down}
    ranked: dict[int, Rows] = {}
    for cgroup in reversed(tree.top_down):
        table = tables.pop(cgroup.cgroup_id)
        ranked[cgroup.cgroup_id] = table.rows(totals[cgroup.cgroup_id])
        above = tree.parent.get(cgroup.cgroup_id)
        if above is not None:
            tables[above].absorb(table)
    return ranked


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
