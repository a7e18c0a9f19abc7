"""The baseline, one situation at a time: what is settled, held, forgotten and walked again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memtrace.collect import baseline
from memtrace.kernel import wire
from tests.unit.collect import fake_kernel, records
from tests.unit.collect.fake_kernel import PAGE, FakeKernel, Rig, resident
from tests.unit.collect.records import DISK, MKDIR, SHMEM, TMPFS, WRITE

X, Y, Z = (records.file(inode) for inode in (1, 2, 3))
SHARED = records.file(1, TMPFS)
BTRFS = 41


@pytest.fixture
def rig() -> Rig:
    """Older cgroups /a and /b; no baseline yet."""
    return Rig("/a", "/b")


def once(kernel: FakeKernel, happens: Callable[[], None]) -> None:
    """Let something happen in the middle of the next walk."""

    def interrupt() -> None:
        kernel.interrupt = lambda: None
        happens()

    kernel.interrupt = interrupt


def test_what_was_there_before_is_the_baseline(rig: Rig) -> None:
    """40 and 2 pages, no event: baseline 42, nothing added, each file known."""
    a = rig.id("/a")
    rig.kernel.pages.update({(a, X): 40, (a, Y): 2})
    rig.collector.take_baseline()
    row = rig.row("/a")
    assert row.ledger.baseline_bytes == 42 * PAGE
    assert sum(row.ledger.added) == 0
    assert sorted(entry.baseline_bytes or 0 for entry in row.ledger.files) == [2 * PAGE, 40 * PAGE]


def test_before_a_baseline_levels_are_unknown(rig: Rig) -> None:
    """An older cgroup has None, a born one 0."""
    (rig.mount / "new").mkdir()
    rig.tell(MKDIR, rig.id("/new"), "/new")
    sample = rig.sample()
    assert rig.row("/a", sample).ledger.baseline_bytes is None
    assert rig.row("/new", sample).ledger.baseline_bytes == 0
    assert sample.baseline.state == "off"


def test_what_happened_before_the_walk_is_not_counted_twice(rig: Rig) -> None:
    """10 there, 5 added and 3 removed since we attached, 12 walked: the baseline is 10."""
    a = rig.id("/a")
    rig.kernel.pages[a, X] = 10
    rig.kernel.add(a, X, 5)
    rig.kernel.remove(a, X, 3)
    rig.collector.take_baseline()
    row = rig.row("/a")
    assert row.ledger.baseline_bytes == 10 * PAGE
    assert resident(row) == 12


def test_a_file_gone_before_the_walk_was_there(rig: Rig) -> None:
    """9 pages removed and none left to walk: the baseline was 9."""
    a = rig.id("/a")
    rig.kernel.pages[a, X] = 9
    rig.kernel.remove(a, X, 9)
    rig.collector.take_baseline()
    row = rig.row("/a")
    assert (row.ledger.baseline_bytes, resident(row)) == (9 * PAGE, 0)


def test_an_event_in_the_walk_unsettles_until_the_file_is_quiet(rig: Rig) -> None:
    """Busy files are estimates and say so; one quiet interval makes them exact."""
    a = rig.id("/a")
    rig.kernel.pages[a, X] = 10
    once(rig.kernel, lambda: rig.kernel.add(a, X, 5))
    rig.collector.take_baseline()
    rig.kernel.add(a, X, 1)
    busy = rig.sample()
    assert (busy.baseline.state, busy.baseline.unsettled_files) == ("settling", 1)
    assert not rig.row("/a", busy).ledger.baseline_exact
    quiet = rig.sample()
    assert quiet.baseline.state == "done"
    assert rig.row("/a", quiet).ledger.baseline_exact
    assert resident(rig.row("/a", quiet)) == 16


def test_a_settled_baseline_walks_no_more(rig: Rig) -> None:
    """Nothing unsettled, nothing unnamed: samples leave the file systems alone."""
    rig.kernel.pages[rig.id("/a"), X] = 10
    rig.collector.take_baseline()
    rig.sample()
    rig.kernel.walks.clear()
    rig.sample()
    assert rig.kernel.walks == []


def test_settling_walks_only_the_file_system_in_question(rig: Rig) -> None:
    """One unsettled file on one device is one filtered walk there."""
    a = rig.id("/a")
    rig.kernel.pages.update({(a, X): 10, (a, SHARED): 5})
    once(rig.kernel, lambda: rig.kernel.add(a, X, 5))
    rig.collector.take_baseline()
    rig.kernel.walks.clear()
    rig.collector._baseline.settle()
    assert {device for device, _ in rig.kernel.walks} == {DISK}
    assert rig.kernel.wanted == {X}


def test_files_of_a_subvolume_are_walked_with_their_file_system(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """btrfs gives a subvolume a device that no superblock has."""
    monkeypatch.setitem(fake_kernel.MAGICS, BTRFS, wire.BTRFS_MAGIC)
    rig.kernel.devices.append(BTRFS)
    rig.collector._baseline.name({records.file(1, 42)})
    assert [device for device, _ in rig.kernel.walks] == [BTRFS]


def test_a_cgroup_new_to_a_file_that_is_walked_again_has_no_baseline_of_it(rig: Rig) -> None:
    """/b's first pages of X come while X is settled for /a: all added, none of them before."""
    a, b = rig.id("/a"), rig.id("/b")
    rig.kernel.pages[a, X] = 10
    once(rig.kernel, lambda: rig.kernel.add(a, X, 5))
    rig.collector.take_baseline()
    once(rig.kernel, lambda: rig.kernel.add(b, X, 8))
    rig.sample()
    (entry,) = rig.row("/b").ledger.files
    assert (entry.added_bytes, entry.baseline_bytes) == (8 * PAGE, 0)


def test_mounts_that_go_between_walks_do_not_lose_files(rig: Rig) -> None:
    """Superblocks are walked by number: an unmounted one moves all behind it."""
    a = rig.id("/a")
    rig.kernel.pages[a, X] = 10
    once(rig.kernel, lambda: rig.kernel.add(a, X, 5))
    rig.collector.take_baseline()
    rig.kernel.devices.remove(3)
    rig.sample()
    row = rig.row("/a")
    assert (row.ledger.baseline_bytes, resident(row)) == (10 * PAGE, 15)


def test_a_baseline_taken_again_is_the_same(rig: Rig) -> None:
    """Redone after events: baseline + added - removed is what is there."""
    a = rig.id("/a")
    rig.kernel.pages[a, X] = 10
    rig.collector.take_baseline()
    rig.kernel.add(a, X, 5)
    rig.kernel.remove(a, X, 2)
    rig.sample()
    rig.collector.take_baseline()
    row = rig.row("/a")
    assert (row.ledger.baseline_bytes, resident(row)) == (10 * PAGE, 13)


def test_more_unsettled_files_than_a_walk_can_want_settle_in_turn(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More files in doubt than one walk may want: no error, and exact in the end."""
    assert baseline.MAX_WANTED < fake_kernel.WANTED_ROOM
    monkeypatch.setattr(baseline, "MAX_WANTED", 160)
    monkeypatch.setattr(fake_kernel, "WANTED_ROOM", 163)
    a = rig.id("/a")
    files = [records.file(inode, TMPFS) for inode in range(1, 171)]

    def write() -> None:
        for file in files:
            rig.kernel.add(a, file, 1, SHMEM)

    rig.kernel.pages[a, X] = 1
    once(rig.kernel, write)
    rig.collector.take_baseline()
    assert rig.collector._baseline.unsettled == 170
    for _ in range(2):
        rig.collector._baseline.settle()
    assert rig.collector._baseline.unsettled == 0
    assert rig.collector._tree.node(a).ledger.baseline == 1


def test_an_incomplete_walk_settles_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torn or overfull walk again says nothing of a file it did not count: try once more."""
    a = rig.id("/a")
    rig.kernel.pages[a, X] = 10
    once(rig.kernel, lambda: rig.kernel.add(a, X, 5))
    rig.collector.take_baseline()
    whole = rig.kernel.walk
    monkeypatch.setattr(rig.kernel, "_visit", lambda *_: 0)
    monkeypatch.setattr(
        rig.kernel, "walk", lambda index, flags: whole(index, flags)._replace(torn=bool(flags & 8))
    )
    rig.sample()
    monkeypatch.undo()
    rig.sample()
    assert resident(rig.row("/a")) == 15


def test_walks_in_vain_are_made_more_seldom_the_dearer_they_are(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two seconds of CPU at a hundredth: one in 200 seconds; and then it settles."""
    a = rig.id("/a")
    rig.kernel.pages[a, X] = 10
    once(rig.kernel, lambda: rig.kernel.add(a, X, 5))
    rig.collector.take_baseline()
    clock = iter(range(0, 1000, 2))
    now = [1000.0]
    monkeypatch.setattr(baseline, "SETTLING_SHARE", 0.01)
    monkeypatch.setattr(baseline.time, "thread_time", lambda: next(clock))
    monkeypatch.setattr(baseline.time, "monotonic", lambda: now[0])
    walk = rig.kernel.walk
    monkeypatch.setattr(
        rig.kernel, "walk", lambda index, flags: walk(index, flags)._replace(torn=bool(flags & 8))
    )
    settled = rig.collector._baseline
    settled.settle()
    walks = len(rig.kernel.walks)
    for now[0] in (1001.0, 1199.0):
        settled.settle()
    assert len(rig.kernel.walks) == walks
    monkeypatch.setattr(rig.kernel, "walk", walk)
    now[0] = 1201.0
    settled.settle()
    assert settled.unsettled == 0


def test_a_file_system_that_goes_during_the_walk_hides_no_other(rig: Rig) -> None:
    """Superblocks are walked by number: one unmounted moves all behind it, none may be missed."""
    a = rig.id("/a")
    rig.kernel.devices = [99, 3, DISK, TMPFS]
    rig.kernel.pages.update({(a, records.file(1, 99)): 0, (a, X): 10, (a, SHARED): 3})
    once(rig.kernel, lambda: rig.kernel.devices.remove(99))
    rig.collector.take_baseline()
    for _ in range(3):
        row = rig.row("/a")
    assert resident(row) == 13 or rig.sample().baseline.reason


def test_a_walk_that_found_no_room_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a full map left out is a reason in every sample, not a silent 0."""
    whole = rig.kernel.walk
    monkeypatch.setattr(
        rig.kernel, "walk", lambda index, flags: whole(index, flags)._replace(full=7)
    )
    rig.collector.take_baseline()
    assert "room" in rig.sample().baseline.reason


def test_progress_is_told_per_file_system(rig: Rig) -> None:
    """Three file systems, the second one with 40 pages."""
    rig.kernel.pages[rig.id("/a"), X] = 40
    told: list[tuple[int, int]] = []
    rig.collector.take_baseline(lambda walked, pages: told.append((walked, pages)))
    assert told[:3] == [(1, 0), (2, 40), (3, 40)]


def test_rows_of_a_write_after_the_baseline_are_added(rig: Rig) -> None:
    """A quiet file's later events move added and removed; the baseline stays."""
    a = rig.id("/a")
    rig.kernel.pages[a, X] = 10
    rig.collector.take_baseline()
    rig.kernel.add(a, X, 5, WRITE)
    row = rig.row("/a")
    assert (row.ledger.baseline_bytes, sum(row.ledger.added)) == (10 * PAGE, 5 * PAGE)
