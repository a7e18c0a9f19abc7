"""From a ledger to a Sample's rows: the largest, named, in bytes, and the odd ones kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from memtrace.collect.events import PathSeen
from memtrace.collect.ledger import CgroupLedger
from memtrace.collect.names import Names
from memtrace.collect.rows import ROWS, sample_ledger, top_files
from memtrace.samples import DriverRow, FileId, FileRow, Ledger, ProcessRow
from tests.unit.collect import records
from tests.unit.collect.records import DROP, READ, RECLAIM, SHMEM, UNLINK, WRITE

PAGE = 4096
FILE = records.file(4711, 253 << 20 | 1, 7)
ME = records.process(10, 99)


@pytest.fixture
def names(tmp_path: Path) -> Names:
    """Names without mounts; FILE is /data/x and process 10 is dd."""
    made = Names(tmp_path, lambda _: None)
    made.learn_file(PathSeen(FILE, 1, 0, b"x\0data\0"))
    made.learn_process(ME, b"dd")
    return made


def many(ledger: CgroupLedger, count: int) -> None:
    """`count` files with 1, 2, 3... pages by as many processes."""
    for pages in range(1, count + 1):
        ledger.row(records.file(pages), records.process(pages), WRITE, (pages, 1, 0))


def test_one_write_is_one_row_of_each_kind(names: Names) -> None:
    """3 pages written, 1 reclaimed, 10 there before: in bytes and with names."""
    ledger = CgroupLedger()
    ledger.baseline = 20
    ledger.hold(FILE, 10)
    ledger.row(FILE, ME, WRITE, (3, 18, 0))
    ledger.row(FILE, bytes(8), RECLAIM, (1, 0, 0))
    made = sample_ledger(ledger, names, PAGE)
    file = FileId(253 << 20 | 1, 4711, 7)
    assert made.drivers == (
        DriverRow(file, "/data/x", None, 10, "dd", "write", "pwrite64", 12288, 12288),
    )
    assert made.files == (FileRow(file, "/data/x", None, False, False, False, 40960, 12288, 4096),)
    assert made.processes == (ProcessRow(10, 99, "dd", 12288),)
    assert made.baseline_bytes == 81920


def test_totals_are_bytes(names: Names) -> None:
    """2 pages read, 1 dropped, 1 without a row, and what has departed."""
    ledger = CgroupLedger()
    ledger.set_totals(records.total({READ: 2}, {DROP - 16: 1}, overflow=1))
    ledger.departed_added[0], ledger.departed_removed[4], ledger.departed_baseline = 5, 6, 7
    made = sample_ledger(ledger, names, PAGE)
    assert made.added == (8192, *[0] * 13)
    assert made.removed == (0, 0, 0, 4096, 0)
    assert made.overflow_bytes == 4096
    assert (made.departed_added[0], made.departed_removed[4]) == (20480, 24576)
    assert made.departed_baseline_bytes == 28672


def test_without_a_baseline_levels_are_unknown(names: Names) -> None:
    """None, not 0, for the cgroup and for each file."""
    ledger = CgroupLedger()
    ledger.row(FILE, ME, WRITE, (3, 1, 0))
    made = sample_ledger(ledger, names, PAGE)
    assert made.baseline_bytes is None
    assert made.files[0].baseline_bytes is None
    assert not made.baseline_exact


@pytest.mark.parametrize(("unsettled", "exact"), [(True, False), (False, True)])
def test_an_estimate_is_not_exact(names: Names, unsettled: bool, exact: bool) -> None:
    """While one of its files is unsettled, a cgroup's baseline is an estimate."""
    ledger = CgroupLedger()
    ledger.baseline, ledger.unsettled = 0, unsettled
    assert sample_ledger(ledger, names, PAGE).baseline_exact is exact


def test_pages_of_nobody_have_no_name(names: Names) -> None:
    """Shared memory told by another task's batch: tgid 0, no comm, no system call."""
    ledger = CgroupLedger()
    ledger.row(FILE, bytes(8), SHMEM, (3, -2, 0))
    (row,) = sample_ledger(ledger, names, PAGE).drivers
    assert (row.tgid, row.comm, row.syscall, row.kind) == (0, None, None, "shmem")


def test_a_block_devices_pages_are_metadata(names: Names) -> None:
    """Inode 0 of a device, even if only its removal was seen."""
    ledger = CgroupLedger()
    ledger.row(records.file(0, 8, 0), bytes(8), RECLAIM, (1, 0, 0))
    assert sample_ledger(ledger, names, PAGE).files[0].metadata


def test_an_unlinked_file_is_deleted(names: Names) -> None:
    """Its name was told while it had one; the removal's reason knows better."""
    ledger = CgroupLedger()
    ledger.row(FILE, bytes(8), UNLINK, (1, 0, 0))
    assert sample_ledger(ledger, names, PAGE).files[0].deleted is True


def test_whether_an_untold_file_is_deleted_is_unknown(names: Names) -> None:
    """None, not False."""
    ledger = CgroupLedger()
    ledger.row(records.file(5), ME, READ, (1, 0, 0))
    assert sample_ledger(ledger, names, PAGE).files[0].deleted is None


def test_an_unknown_kind_is_other(names: Names) -> None:
    """A kind between the last known one and the removals does not end the agent."""
    ledger = CgroupLedger()
    ledger.row(FILE, ME, 15, (1, 0, 0))
    assert sample_ledger(ledger, names, PAGE).drivers[0].kind == "other"


def test_only_the_largest_rows_are_shown(names: Names) -> None:
    """Of 50 files, drivers and processes the 24 largest, each biggest first."""
    ledger = CgroupLedger()
    many(ledger, 50)
    ledger.settle_interval()
    made = sample_ledger(ledger, names, PAGE)
    largest = [pages * PAGE for pages in range(50, 26, -1)]
    assert ROWS == 24
    assert [row.added_bytes for row in made.drivers] == largest
    assert [row.added_bytes for row in made.files] == largest
    assert [row.added_bytes for row in made.processes] == largest


def test_what_is_recent_is_shown_however_small(names: Names) -> None:
    """Behind the 24 largest drivers comes the one of this interval, once."""
    ledger = CgroupLedger()
    many(ledger, 50)
    ledger.settle_interval()
    ledger.row(records.file(1), records.process(1), WRITE, (1, 1, 0))
    ledger.row(records.file(50), records.process(50), WRITE, (1, 1, 0))
    made = sample_ledger(ledger, names, PAGE)
    assert [(row.tgid, row.recent_bytes) for row in made.drivers if row.recent_bytes] == [
        (50, 4096),
        (1, 4096),
    ]
    assert len(made.drivers) == 25


def test_the_files_shown_are_those_that_need_names(names: Names) -> None:
    """top_files is exactly what a Sample will hold."""
    ledger = CgroupLedger()
    many(ledger, 50)
    shown = [row.file for row in sample_ledger(ledger, names, PAGE).files]
    assert top_files(ledger) == [
        records.file(file.inode, file.device, file.generation) for file in shown if file
    ]


def test_an_empty_ledger_is_an_empty_sample(names: Names) -> None:
    """Nothing known, nothing claimed."""
    assert sample_ledger(CgroupLedger(), names, PAGE) == Ledger(baseline_exact=False)
