"""Rows of allocations: added up, named, bounded, with nothing lost from the sum."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memtrace.collect.slab_culprits import MAX_ROWS, SHOWN, CgroupCulprits, Who
from memtrace.samples import SlabCulpritRow
from tests.unit.collect import records

STAT, OPENAT = 262, 257
DENTRY = 200


def who(tgid: int = 100, syscall: int = STAT, cache: str = "dentry") -> Who:
    """A process in a call, allocating from a cache."""
    return Who(cache, records.process(tgid), syscall, 0)


def comm(process: bytes) -> str:
    """Every process is called the same."""
    return "find"


def test_a_row_names_process_and_call() -> None:
    """Objects, their bytes, and what came since the sample before."""
    culprits = CgroupCulprits()
    culprits.add(who(), 1009, DENTRY)
    (row,) = culprits.rows(comm)
    assert row[:1] == ("dentry",)
    assert (row.tgid, row.comm, row.syscall) == (100, "find", "newfstatat")
    assert (row.objects, row.bytes, row.recent_bytes) == (1009, 1009 * DENTRY, 1009 * DENTRY)


def test_recent_is_of_one_interval() -> None:
    """At the next sample it is gone, and that is a change; then nothing changes any more."""
    culprits = CgroupCulprits()
    culprits.add(who(), 7, DENTRY)
    culprits.rows(comm)
    assert culprits.changed
    assert [row.recent_bytes for row in culprits.rows(comm)] == [0]
    assert not culprits.changed


def test_calls_of_one_process_are_rows_of_their_own() -> None:
    """What stat() left is told from what open() left."""
    culprits = CgroupCulprits()
    culprits.add(who(), 3, DENTRY)
    culprits.add(who(syscall=OPENAT), 5, DENTRY)
    culprits.add(who(syscall=OPENAT, cache="ext4_inode_cache"), 5, 1136)
    found = {(row.cache, row.syscall): row.objects for row in culprits.rows(comm)}
    assert found == {
        ("dentry", "newfstatat"): 3,
        ("dentry", "openat"): 5,
        ("ext4_inode_cache", "openat"): 5,
    }


def test_many_processes_of_one_name_are_one_row() -> None:
    """A shell that starts stat a hundred times is one culprit: no single pid."""
    culprits = CgroupCulprits()
    for tgid in range(1, 102):
        culprits.add(who(tgid), 2, DENTRY)
    (row,) = culprits.rows(comm)
    assert row == SlabCulpritRow(
        "dentry", 0, 0, "find", "newfstatat", 202, 202 * DENTRY, 202 * DENTRY
    )


def test_a_released_cgroups_rows_are_its_parents() -> None:
    """Nothing of it is recent there: it was told already."""
    parent, child = CgroupCulprits(), CgroupCulprits()
    child.add(who(), 11, DENTRY)
    parent.take(child)
    (row,) = parent.rows(comm)
    assert (row.objects, row.recent_bytes, parent.allocated) == (11, 0, 11 * DENTRY)


@given(
    st.lists(
        st.tuples(st.integers(1, 400), st.sampled_from([STAT, OPENAT]), st.integers(1, 99)),
        max_size=600,
    )
)
def test_the_sum_holds_and_the_tables_stay_small(events: list[tuple[int, int, int]]) -> None:
    """However many processes: no more rows than shown, and together all that was allocated."""
    culprits = CgroupCulprits()
    for number, (tgid, syscall, objects) in enumerate(events):
        culprits.add(who(tgid, syscall), objects, DENTRY)
        if number % 100 == 99:
            culprits.rows(comm)
    rows = culprits.rows(comm)
    assert len(rows) <= SHOWN
    assert sum(row.bytes for row in rows) == culprits.allocated
    assert culprits.allocated == DENTRY * sum(objects for _, _, objects in events)
    assert len(culprits._rows) <= MAX_ROWS
