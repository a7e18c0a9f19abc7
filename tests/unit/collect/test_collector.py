"""The collector on a fake kernel: chunks and events in, Samples out, nothing lost on the way."""

from __future__ import annotations

import time
from unittest import mock

import pytest

from memtrace.collect import collector as module
from memtrace.collect import gathering, namer, names
from memtrace.samples import GoCollected, Lost
from tests.unit.collect import records
from tests.unit.collect.fake_kernel import BY, PAGE, FakeKernel, Rig
from tests.unit.collect.records import MKDIR, RELEASE, RMDIR, UNLINK, WRITE

X = records.file(1)
GONE = 999_999_999_001
"""A cgroup without a directory."""


@pytest.fixture
def rig() -> Rig:
    """One older cgroup, /a, and a baseline."""
    made = Rig("/a")
    made.collector.take_baseline()
    return made


def test_rows_and_names_of_an_interval(rig: Rig) -> None:
    """What was drained since the last sample: whose, which file, by whom, and its totals."""
    rig.kernel.ring += [records.path_event(X, b"x", b"data"), records.task_event(BY, b"dd")]
    rig.kernel.add(rig.id("/a"), X, 5)
    ledger = rig.row("/a").ledger
    (driver,) = ledger.drivers
    assert (driver.path, driver.comm, driver.kind, driver.added_bytes, driver.recent_bytes) == (
        "/data/x",
        "dd",
        "write",
        5 * PAGE,
        5 * PAGE,
    )
    assert sum(ledger.added) == 5 * PAGE


def test_recent_is_since_the_sample_before(rig: Rig) -> None:
    """Two gathers between two samples are one interval; a quiet one is 0."""
    a = rig.id("/a")
    for _ in range(2):
        rig.kernel.add(a, X, 5)
        rig.collector.gather()
    assert rig.row("/a").ledger.drivers[0].recent_bytes == 10 * PAGE
    assert rig.row("/a").ledger.drivers[0].recent_bytes == 0


def test_a_quiet_cgroup_keeps_its_ledger(rig: Rig) -> None:
    """Nothing changed: the same immutable Ledger again."""
    rig.kernel.add(rig.id("/a"), X, 5)
    for _ in range(2):
        rig.sample()
    assert rig.row("/a").ledger is rig.row("/a").ledger


def test_a_cgroup_in_which_nothing_moved_is_passed_over(rig: Rig, passed_over: list[int]) -> None:
    """Nothing of it is made again, until something comes."""
    (rig.mount / "a/memory.stat").write_text("total_cache 4096\n")
    (rig.mount / "a/memory.usage_in_bytes").write_text("8192\n")
    a = rig.id("/a")
    rig.kernel.add(a, X, 5)
    active = time.monotonic() + 2 * module.LAG_SECONDS
    rows = [rig.row("/a") for _ in range(2)]
    with mock.patch.object(time, "monotonic", return_value=active):
        rows += [rig.row("/a") for _ in range(3)]
        assert a in passed_over
        assert rows[-1] is rows[-2]
        rig.kernel.add(a, X, 2)
        assert sum(rig.row("/a").ledger.added) == 7 * PAGE


def test_a_collection_of_a_process_that_ended_is_told(rig: Rig) -> None:
    """Nothing else of its cgroup moved, and still it is not passed over."""
    rig.sample()
    made = GoCollected((1,), 0.5, 1, None)
    with mock.patch.object(rig.collector._cgroups, "_collected_of", return_value=made):
        assert rig.row("/a").collected is made


def test_names_that_were_forgotten_are_asked_for_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quiet baseline file whose name made room for others gets it back within a minute."""
    monkeypatch.setattr(names, "MAX_FILES", 4)
    a = rig.id("/a")
    rig.kernel.pages[a, X] = 10
    rig.collector.take_baseline()
    assert [row.path for row in rig.row("/a").ledger.files] == ["/named-1"]
    for inode in range(10, 20):
        rig.kernel.ring.append(records.path_event(records.file(inode), b"other"))
    rig.sample()
    monkeypatch.setattr(rig.collector._namer._check, "_all_at", 0.0)
    monkeypatch.setattr(rig.collector._namer._check, "_rested_at", 0.0)
    shown = {row.path for row in rig.row("/a").ledger.files if row.file and row.file.inode == 1}
    assert shown == {"/named-1"}


def test_what_is_asked_once_is_not_remembered_for_ever(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that nobody can name any more come and go for weeks: the memory of them is bounded."""
    monkeypatch.setattr(namer, "MAX_ASKED", 100)
    a = rig.id("/a")
    rig.kernel.devices = []  # nothing is found, so nothing gets a name
    for interval in range(20):
        for inode in range(40):
            rig.kernel.add(a, records.file(interval * 40 + inode + 1), interval + 1)
        rig.sample()
    assert 0 < len(rig.collector._namer._asked) <= 140


@pytest.mark.parametrize("record", [b"", b"\1", b"\xff" * 9, records.path_event(X, b"\xff\n")])
def test_hostile_events_end_nothing(rig: Rig, record: bytes) -> None:
    """Short, unknown or odd records are passed over."""
    rig.kernel.ring.append(record)
    rig.sample()


def test_losses_are_told(rig: Rig) -> None:
    """Ring 1, names 2, pages without a row 3 and without a total 4, skipped runs 6."""
    assert rig.sample().lost == Lost(ring=1, map_full=7 * PAGE, recursion=6, names=2)


def test_a_full_interval_asks_for_more_haste(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than a quarter of the ledger: it is emptied more often until that ends."""
    monkeypatch.setattr(gathering, "CROWDED_ROWS", 2)
    for inode in range(1, 4):
        rig.kernel.add(rig.id("/a"), records.file(inode), 1)
    rig.collector.gather()
    assert rig.collector.gathering.crowded
    rig.collector.gather()
    assert not rig.collector.gathering.crowded


def test_without_a_baseline_the_reason_is_told() -> None:
    """Refused: unavailable, with the sentence."""
    rig = Rig("/a")
    rig.collector.refuse_baseline("no bpf_loop")
    state = rig.sample().baseline
    assert (state.state, state.reason) == ("unavailable", "no bpf_loop")


def test_a_released_cgroup_leaves_nothing_in_memory(rig: Rig) -> None:
    """A thousand containers later everything kept by id is gone."""
    kernel: FakeKernel = rig.kernel
    for number in range(1000):
        rig.tell(MKDIR, GONE + number, f"/c{number}")
        kernel.add(GONE + number, X, 1, WRITE)
        rig.collector.gather()
        kernel.remove(GONE + number, X, 1, UNLINK)
        for change in (RMDIR, RELEASE):
            rig.tell(change, GONE + number, f"/c{number}")
    rig.sample()
    rig.sample()
    assert len(rig.collector._tree.nodes) == 2
    assert len(rig.collector._cgroups._made) == 2
    assert len(rig.collector._resolver._entries) == 2
    assert len(kernel.sums) <= 1
