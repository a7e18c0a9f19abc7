"""One cgroup's ledger: sums, bounds, what is recent, and what departs into a parent."""

from __future__ import annotations

import time

import pytest

from memtrace.collect import ledger as module
from memtrace.collect.ledger import FILE_METADATA, FILE_SHMEM, FILE_UNLINKED, CgroupLedger
from memtrace.kernel import wire
from tests.unit.collect import records
from tests.unit.collect.records import METADATA, READ, RECLAIM, SHMEM, UNLINK, WRITE

FILE, OTHER = records.file(1), records.file(2)
ME, YOU, NOBODY = records.process(10), records.process(20), bytes(8)


def add(
    ledger: CgroupLedger, pages: int, file: bytes = FILE, by: bytes = ME, kind: int = WRITE
) -> None:
    """One drained row of an addition."""
    ledger.row(file, by, kind, (pages, 1, 0))


def remove(ledger: CgroupLedger, pages: int, file: bytes = FILE, kind: int = RECLAIM) -> None:
    """One drained row of a removal."""
    ledger.row(file, bytes(8), kind, (pages, 0, 0))


def test_rows_of_intervals_add_up() -> None:
    """3 and 4 pages written and 2 reclaimed: added 7, removed 2, net 5."""
    ledger = CgroupLedger()
    add(ledger, 3)
    add(ledger, 4)
    remove(ledger, 2)
    entry = ledger.files[FILE]
    assert (entry.added, entry.removed, entry.net, entry.resident) == (7, 2, 5, 5)
    assert ledger.processes == {ME: 7}
    assert [row.pages for row in ledger.drivers.values()] == [7]


def test_cause_is_file_process_and_kind() -> None:
    """The same file by two processes and two kinds is four rows."""
    ledger = CgroupLedger()
    for by in (ME, YOU):
        for kind in (READ, WRITE):
            add(ledger, 1, by=by, kind=kind)
    assert len(ledger.drivers) == 4
    assert ledger.processes == {ME: 2, YOU: 2}


def test_the_latest_system_call_stays() -> None:
    """pwrite64 (18) after write (1): one row, told as pwrite64."""
    ledger = CgroupLedger()
    ledger.row(FILE, ME, WRITE, (1, 1, 0))
    ledger.row(FILE, ME, WRITE, (1, 18, 1))
    (row,) = ledger.drivers.values()
    assert (row.syscall, row.compat, row.pages) == (18, 1, 2)


def test_kinds_and_reasons_mark_the_file() -> None:
    """Metadata, shared memory and unlinked files are flagged by what happened to them."""
    ledger = CgroupLedger()
    add(ledger, 1, kind=METADATA)
    add(ledger, 1, OTHER, kind=SHMEM)
    remove(ledger, 1, OTHER, kind=UNLINK)
    assert ledger.files[FILE].flags == FILE_METADATA
    assert ledger.files[OTHER].flags == FILE_SHMEM | FILE_UNLINKED


def test_recent_pages_end_with_the_interval() -> None:
    """After a sample nothing is recent; the sum stays."""
    ledger = CgroupLedger()
    add(ledger, 5)
    (row,) = ledger.drivers.values()
    assert row.recent == 5
    ledger.settle_interval()
    assert (row.recent, row.pages) == (0, 5)
    add(ledger, 2)
    assert (row.recent, row.pages) == (2, 7)


def test_changed_lasts_until_recent_pages_were_shown_as_gone() -> None:
    """A second sample must still be made, to show recent as 0; then it is quiet."""
    ledger = CgroupLedger()
    add(ledger, 5)
    ledger.settle_interval()
    assert ledger.changed
    ledger.settle_interval()
    assert not ledger.changed


def test_a_row_sticks_to_its_value_without_a_baseline_of_its_own() -> None:
    """`hold` keeps a walked file without touching the cgroup's sum."""
    ledger = CgroupLedger()
    ledger.baseline = 100
    ledger.hold(FILE, 30)
    remove(ledger, 10)
    assert ledger.baseline == 100
    assert ledger.files[FILE].resident == 20


def test_totals_are_taken_as_they_are() -> None:
    """The kernel's cumulative sums by kind and reason, and what found no row."""
    ledger = CgroupLedger()
    ledger.changed = False
    ledger.set_totals(records.total({WRITE: 7, READ: 2}, {0: 4}, overflow=3))
    assert ledger.added[:2] == [2, 7]
    assert ledger.removed == [4, 0, 0, 0, 0]
    assert ledger.overflow == 3
    assert ledger.changed


def test_equal_totals_change_nothing() -> None:
    """A quiet cgroup stays unchanged, so that its sample can be reused."""
    ledger = CgroupLedger()
    ledger.set_totals(records.total({WRITE: 7}, {}))
    ledger.changed = False
    ledger.set_totals(records.total({WRITE: 7}, {}))
    assert not ledger.changed


def test_a_table_that_grows_too_large_keeps_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for 4, the larger half of five stays, which is 2; the cut files are named."""
    monkeypatch.setattr(module, "MAX_ROWS", 4)
    monkeypatch.setattr(module, "MAX_FILES", 4)
    ledger = CgroupLedger()
    files = [records.file(inode) for inode in range(1, 6)]
    for pages, file in enumerate(files, start=1):
        add(ledger, pages, file, records.process(pages))
    assert ledger.cut() == files[:3]
    assert list(ledger.files) == [files[4], files[3]]
    assert sorted(row.pages for row in ledger.drivers.values()) == [4, 5]
    assert sorted(ledger.processes.values()) == [4, 5]


def test_a_bound_is_a_bound_however_much_comes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for 4, a hundred at once leave no more than 4."""
    monkeypatch.setattr(module, "MAX_ROWS", 4)
    monkeypatch.setattr(module, "MAX_FILES", 4)
    ledger = CgroupLedger()
    for inode in range(100):
        add(ledger, 1, records.file(inode), records.process(inode))
    ledger.cut()
    assert max(len(ledger.files), len(ledger.drivers), len(ledger.processes)) <= 4


def test_tables_within_their_bound_are_not_cut() -> None:
    """Nothing is cut, nothing is named."""
    ledger = CgroupLedger()
    add(ledger, 1)
    assert ledger.cut() == []
    assert set(ledger.files) == {FILE}


def test_of_deleted_files_only_the_largest_rows_stay() -> None:
    """Of two hundred replaced ones the fiftieth was the largest; one only emptied keeps its row."""
    ledger = CgroupLedger()
    emptied = records.file(9999)
    add(ledger, 1, emptied)
    remove(ledger, 1, emptied)
    for inode in range(1, 201):
        add(ledger, 7 if inode == 50 else 1, records.file(inode))
        remove(ledger, 7 if inode == 50 else 1, records.file(inode), UNLINK)
        ledger.settle_interval()
        ledger.cut()
    left = {file: row.pages for (file, _, _), row in ledger.drivers.items()}
    assert left[records.file(50)] == 7
    assert left[emptied] == 1
    assert len(ledger.files) <= module.MANY_FILES
    assert len(left) <= module.MANY_FILES + module.ENDED_ROWS + 1
    deleted = ledger.take_deleted()
    assert records.file(30) in deleted
    assert emptied not in deleted
    assert ledger.take_deleted() == set()


def test_pages_that_no_event_told_are_booked_once() -> None:
    """A walk found 4 pages more than told: added now, and still after the kernel's next totals."""
    ledger = CgroupLedger()
    add(ledger, 3, kind=SHMEM)
    ledger.set_totals(records.total({SHMEM: 3}, {}))
    ledger.correct(FILE, 4)
    assert (ledger.added[SHMEM], ledger.files[FILE].added) == (7, 7)
    ledger.set_totals(records.total({SHMEM: 5}, {}))
    assert ledger.added[SHMEM] == 9


def test_pages_told_too_often_are_booked_as_removed() -> None:
    """A walk found 4 pages less than told: removed for reason other; added never goes back."""
    ledger = CgroupLedger()
    add(ledger, 7, kind=SHMEM)
    ledger.set_totals(records.total({SHMEM: 7}, {}))
    ledger.correct(FILE, -4)
    assert (ledger.added[SHMEM], ledger.removed[4], ledger.files[FILE].resident) == (7, 4, 3)
    ledger.set_totals(records.total({SHMEM: 7}, {4: 1}))
    assert ledger.removed[4] == 5


def test_nobodys_pages_become_the_next_adders() -> None:
    """3 pages of a batch somebody else emptied, then 2 by ME: one row, 5 pages, all ME's."""
    ledger = CgroupLedger()
    add(ledger, 3, by=NOBODY, kind=SHMEM)
    add(ledger, 2, by=ME, kind=SHMEM)
    assert {key[1]: row.pages for key, row in ledger.drivers.items()} == {ME: 5}
    assert ledger.processes == {ME: 5}


def test_nobodys_pages_are_the_known_adders() -> None:
    """The other way round: ME is the only one who adds to this file."""
    ledger = CgroupLedger()
    add(ledger, 2, by=ME, kind=SHMEM)
    add(ledger, 3, by=NOBODY, kind=SHMEM)
    assert {key[1]: row.pages for key, row in ledger.drivers.items()} == {ME: 5}


def test_nobodys_pages_keep_the_adders_system_call() -> None:
    """ME wrote (1); what a kernel thread told later of the same file says nothing of the call."""
    ledger = CgroupLedger()
    add(ledger, 2, by=ME, kind=SHMEM)
    ledger.row(FILE, NOBODY, SHMEM, (3, wire.NO_SYSCALL, 0))
    assert [(row.pages, row.syscall) for row in ledger.drivers.values()] == [(5, 1)]


def test_pages_that_change_hands_are_not_recent_again() -> None:
    """3 pages of the interval before get an owner now: only the 2 new ones are recent."""
    ledger = CgroupLedger()
    add(ledger, 3, by=NOBODY, kind=SHMEM)
    ledger.settle_interval()
    add(ledger, 2, by=ME, kind=SHMEM)
    (row,) = ledger.drivers.values()
    assert (row.pages, row.recent) == (5, 2)


def test_many_files_without_an_adder_take_no_time() -> None:
    """4,000 rows of a batch somebody else emptied: work grows with the rows, not their square."""
    ledger = CgroupLedger()
    files = [records.file(inode) for inode in range(4000)]
    for file in files:
        add(ledger, 1, file, kind=SHMEM)
    started = time.process_time()
    for file in files:
        add(ledger, 1, file, by=NOBODY, kind=SHMEM)
    assert time.process_time() - started < 0.5


def test_a_child_departs_with_all_it_ever_had() -> None:
    """Its own totals and what its own children left are added to the parent's departed."""
    child, parent = CgroupLedger(), CgroupLedger()
    child.set_totals(records.total({WRITE: 7}, {0: 4}))
    child.departed_added[WRITE], child.departed_removed[1] = 10, 9
    child.baseline, child.departed_baseline = 100, 20
    parent.departed_added[WRITE], parent.departed_baseline = 1, 3
    parent.changed = False
    parent.depart(child)
    assert parent.departed_added[WRITE] == 18
    assert parent.departed_removed[:2] == [4, 9]
    assert parent.departed_baseline == 123
    assert parent.added == [0] * 14
    assert parent.changed


def test_an_unknown_baseline_departs_as_unknown() -> None:
    """Unknown is not 0: the sum of the departed is unknown, too."""
    child, parent = CgroupLedger(), CgroupLedger()
    child.baseline = None
    parent.depart(child)
    assert parent.departed_baseline is None
