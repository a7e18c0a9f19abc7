"""Shared memory made exact: told late, twice or never, a walk of tmpfs puts it right."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from memtrace.collect import ledger, shmem
from tests.unit.collect import records
from tests.unit.collect.fake_kernel import PAGE, Rig, resident
from tests.unit.collect.records import MKDIR, SHMEM, TMPFS, UNLINK, WRITE

X, Y = records.file(1, TMPFS), records.file(2, TMPFS)
DISK_FILE = records.file(9)
FILES = [records.file(inode, TMPFS) for inode in range(1, 6)]
CGROUPS = ("/a", "/b", "/young")


@pytest.fixture(autouse=True, scope="module")
def _no_rest() -> Iterator[None]:
    """Compare at every chance: a walk needs no rest here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shmem, "REST", 0.0)
        yield


@pytest.fixture
def rig() -> Rig:
    """An older cgroup /a with a baseline of 10 pages of X."""
    made = Rig("/a")
    made.kernel.pages[made.id("/a"), X] = 10
    made.collector.take_baseline()
    made.sample()
    return made


def quiet(rig: Rig) -> int | None:
    """Three samples without an event, then what is said of /a."""
    for _ in range(3):
        rig.sample()
    return resident(rig.row("/a"))


def changed(rig: Rig) -> None:
    """The kernel's own shmem figure moved."""
    rig.collector._shmem.note_figure(random.randrange(2**60))


def test_pages_told_late_are_counted_at_once_and_once(rig: Rig) -> None:
    """5 pages wait in a CPU's batch: found by the walk; their event later changes nothing."""
    rig.kernel.pages[rig.id("/a"), X] += 5
    changed(rig)
    assert quiet(rig) == 15
    rig.kernel.tell_added(rig.id("/a"), X, 5, SHMEM)
    assert quiet(rig) == 15


def test_pages_told_twice_are_counted_once(rig: Rig) -> None:
    """Put back on the LRU unrecognised: told again, and taken away as reason other."""
    rig.kernel.tell_added(rig.id("/a"), X, 4, SHMEM)
    assert quiet(rig) == 10
    row = rig.row("/a").ledger
    assert (sum(row.added), row.removed[4]) == (4 * PAGE, 4 * PAGE)


def test_pages_swapped_out_without_an_event_are_gone(rig: Rig) -> None:
    """Only the kernel's figure moves: the walk finds 3 of 10."""
    rig.kernel.pages[rig.id("/a"), X] = 3
    changed(rig)
    assert quiet(rig) == 3


def test_without_a_reason_there_is_no_walk(rig: Rig) -> None:
    """No event, no change of the kernel's figure: tmpfs is left alone."""
    quiet(rig)
    rig.kernel.walks.clear()
    quiet(rig)
    assert rig.kernel.walks == []


def test_files_on_disk_are_no_reason(rig: Rig) -> None:
    """Writing to a disk file walks nothing."""
    quiet(rig)
    rig.kernel.walks.clear()
    rig.kernel.add(rig.id("/a"), DISK_FILE, 5, WRITE)
    rig.kernel.ring.append(records.path_event(DISK_FILE, b"x"))
    quiet(rig)
    assert rig.kernel.walks == []


def test_files_beyond_the_bound_are_not_found_again_and_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cgroup with more tmpfs files than its table keeps: each page is added once."""
    monkeypatch.setattr(ledger, "MAX_FILES", 4)
    a = rig.id("/a")
    for file in (records.file(inode, TMPFS) for inode in range(10, 20)):
        rig.kernel.add(a, file, 1, SHMEM)
    assert quiet(rig) == 20
    for _ in range(5):
        changed(rig)
        rig.sample()
    assert quiet(rig) == 20
    assert sum(rig.row("/a").ledger.added) == 10 * PAGE


def test_a_mount_that_goes_during_the_walk_removes_nothing(rig: Rig) -> None:
    """Superblocks are walked by number: missing one must not look like its pages being gone."""
    a = rig.id("/a")
    rig.kernel.devices.insert(0, 99)
    whole = rig.kernel.walk

    def walk(index: int, flags: int) -> object:
        if not flags and index == len(rig.kernel.devices) - 1 and 99 in rig.kernel.devices:
            found = whole(index, flags)
            rig.kernel.devices.remove(99)
            return found
        return whole(index, flags)

    rig.kernel.walk = walk  # type: ignore[assignment]
    rig.kernel.add(a, Y, 1, SHMEM)
    assert quiet(rig) == 11
    assert sum(rig.row("/a").ledger.removed) == 0


@given(st.integers(0, 2**32))
@settings(max_examples=150, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_however_it_is_told_quiet_is_exact(seed: int) -> None:
    """Late, twice, never, before, during and after the walks: exact per cgroup and file."""
    chance = random.Random(seed)
    rig = Rig("/a", "/b")
    (rig.mount / "young").mkdir()
    rig.tell(MKDIR, rig.id("/young"), "/young")
    ids = {path: rig.id(path) for path in CGROUPS}
    for _ in range(chance.randrange(9)):
        rig.kernel.pages[ids[chance.choice(CGROUPS[:2])], chance.choice(FILES)] += 7

    def event() -> None:
        cgroup, file = ids[chance.choice(CGROUPS)], chance.choice(FILES)
        by = chance.choice([records.process(1), records.process(2), bytes(8)])
        match chance.randrange(8):
            case 0:
                rig.kernel.add(cgroup, file, chance.randrange(1, 9), SHMEM)
            case 1:
                rig.kernel.remove(cgroup, file, chance.randrange(1, 99), UNLINK)
            case 2:
                rig.kernel.pages[cgroup, file] += chance.randrange(1, 9)
            case 3:
                rig.kernel.tell_added(cgroup, file, chance.randrange(1, 9), SHMEM, by)
            case 4:
                rig.kernel.pages[cgroup, file] //= 2

    rig.kernel.interrupt = event
    rig.collector.take_baseline()
    for _ in range(chance.randrange(6)):
        event()
        changed(rig)
        rig.sample()
    rig.kernel.interrupt = lambda: None
    for _ in range(4):
        changed(rig)
        rig.sample()
    sample = rig.sample()
    for path, cgroup in ids.items():
        row = rig.row(path, sample)
        assert resident(row) == rig.kernel.resident(cgroup), path
        for entry in row.ledger.files:
            assert entry.file is not None
            assert entry.baseline_bytes is not None
            there = rig.kernel.pages[cgroup, records.file(entry.file.inode, TMPFS)] * PAGE
            assert entry.baseline_bytes + entry.added_bytes - entry.removed_bytes == there


def test_without_a_walk_what_waits_is_told_once_it_is_quiet(rig: Rig) -> None:
    """A kernel that cannot be walked: the CPUs' batches are emptied, once; nothing is booked."""
    done: list[str] = []
    check = shmem.ShmemCheck(
        rig.kernel,  # type: ignore[arg-type]
        rig.collector._tree,
        rig.collector._baseline,
        lambda: done.append("gather"),
        lambda: done.append("drain"),
        can_walk=False,
    )
    check.note_touch(rig.id("/a"), X)
    check.check()
    assert done == []  # not quiet yet
    check.check()
    check.check()
    assert done == ["drain", "gather"]
    assert resident(rig.row("/a")) == 10
