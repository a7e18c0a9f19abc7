"""Cgroups that come and go while the collector reads: no page lost, none left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memtrace.collect import collector as module
from memtrace.collect.collector import Collector
from memtrace.host.tombstones import Tombstones
from memtrace.samples import Identity
from tests.unit.collect import records
from tests.unit.collect.fake_kernel import PAGE, Rig, departed, resident
from tests.unit.collect.records import MKDIR, RELEASE, RMDIR, TMPFS, Chunk
from tests.unit.host import trees

X = records.file(1)
GONE = 999_999_999_001
"""A cgroup without a directory."""


@pytest.fixture
def rig() -> Rig:
    """One older cgroup, /a, and a baseline."""
    made = Rig("/a")
    made.collector.take_baseline()
    return made


@pytest.fixture
def repairing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample repairs the tree first."""
    monkeypatch.setattr(module, "REPAIR_SECONDS", 0.0)


def test_a_cgroup_comes_and_goes(rig: Rig) -> None:
    """Made, used, removed, emptied, released: what it moved stays in its parent."""
    rig.tell(MKDIR, GONE, "/c")
    rig.kernel.add(GONE, X, 9)
    assert resident(rig.row("/c")) == 9
    rig.tell(RMDIR, GONE, "/c")
    assert rig.row("/c").state == "removed"
    rig.kernel.remove(GONE, X, 9)
    rig.tell(RELEASE, GONE, "/c")
    sample = rig.sample()
    assert "/c" not in [row.path for row in sample.cgroups]
    root = rig.row("/", sample).ledger
    assert (sum(root.departed_added), sum(root.departed_removed)) == (9 * PAGE, 9 * PAGE)
    assert GONE not in rig.kernel.sums


def test_a_release_waits_for_the_rows_before_it(rig: Rig) -> None:
    """Its last rows are still in the kernel's ledger when the event is read: no ghost stays."""
    rig.tell(MKDIR, GONE, "/c")
    rig.sample()
    rig.kernel.add(GONE, X, 9)
    rig.kernel.remove(GONE, X, 9)
    rig.tell(RELEASE, GONE, "/c")
    sample = rig.sample()
    assert GONE not in rig.collector._tree.nodes
    assert departed(rig.row("/", sample)) == 0
    assert sum(rig.row("/", sample).ledger.departed_added) == 9 * PAGE


def test_a_cgroup_released_before_the_walk_leaves_its_parent_known() -> None:
    """An older cgroup ends before the baseline: all it had is gone, so nothing is unknown."""
    rig = Rig("/a", "/old")
    old = rig.id("/old")
    rig.kernel.pages[old, X] = 7
    rig.kernel.remove(old, X, 7)
    for change in (RMDIR, RELEASE):
        rig.tell(change, old, "/old")
    rig.collector.take_baseline()
    root = rig.row("/")
    assert root.ledger.departed_baseline_bytes == 7 * PAGE
    assert departed(root) == 0


def test_a_cgroup_released_unsettled_leaves_no_error_behind() -> None:
    """Its baseline was an estimate; released means empty, which settles it."""
    rig = Rig("/a", "/old")
    old = rig.id("/old")
    rig.kernel.pages[old, X] = 10

    def write() -> None:
        rig.kernel.interrupt = lambda: rig.kernel.add(old, X, 5)

    rig.kernel.interrupt = write
    rig.collector.take_baseline()
    rig.kernel.interrupt = lambda: None
    rig.kernel.remove(old, X, rig.kernel.pages[old, X])
    for change in (RMDIR, RELEASE):
        rig.tell(change, old, "/old")
    assert departed(rig.row("/")) == 0


def test_a_released_cgroup_is_empty_whatever_was_told(rig: Rig) -> None:
    """3 shared pages were freed before any event told of them: its parent does not go below 0."""
    rig.tell(MKDIR, GONE, "/c")
    shared = records.file(1, TMPFS)
    rig.kernel.pages[GONE, shared] = 3
    rig.kernel.remove(GONE, shared, 3)
    for change in (RMDIR, RELEASE):
        rig.tell(change, GONE, "/c")
    assert departed(rig.row("/")) == 0


@pytest.mark.usefixtures("repairing")
def test_pages_left_by_a_short_lived_cgroup_survive_a_repair(rig: Rig) -> None:
    """Made, filled and removed between two samples: 9 pages live on and must be shown."""
    rig.sample()
    rig.tell(MKDIR, GONE, "/c")
    rig.kernel.add(GONE, X, 9)
    rig.tell(RMDIR, GONE, "/c")
    rig.collector.gather()
    rig.sample()
    assert resident(rig.row("/c")) == 9
    rig.kernel.remove(GONE, X, 4)
    assert resident(rig.row("/c")) == 5


@pytest.mark.usefixtures("repairing")
def test_pages_of_a_cgroup_whose_events_were_lost(rig: Rig) -> None:
    """Made without an event reaching us, used, then found by the walk of directories."""
    (rig.mount / "quiet").mkdir()
    rig.kernel.add(rig.id("/quiet"), X, 9)
    rig.sample()
    assert resident(rig.row("/quiet")) == 9


def test_a_cgroup_made_while_the_ledger_is_read(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first row comes before its mkdir event: shown at once, under its path."""
    (rig.mount / "new").mkdir()
    new = rig.id("/new")
    whole: Callable[[], Iterator[Chunk]] = rig.kernel.gather

    def gather() -> Iterator[Chunk]:
        rig.tell(MKDIR, new, "/new")
        rig.kernel.add(new, X, 9)
        monkeypatch.undo()
        return whole()

    monkeypatch.setattr(rig.kernel, "gather", gather)
    assert resident(rig.row("/new")) == 9


def test_a_removed_cgroup_met_by_the_walk_has_the_name_of_its_tombstone(tmp_path: Path) -> None:
    """And its path: the walk tells its id, its own name and little else."""
    place = f"/pods/pod1/{'ab' * 32}"
    boot = tmp_path / "proc/sys/kernel/random/boot_id"
    boot.parent.mkdir(parents=True)
    boot.write_text("this-boot")
    earlier = Tombstones(tmp_path / "state", tmp_path)
    earlier.remember(
        GONE, place, Identity("container", "web", "docker", container="web", image="a:1")
    )
    earlier.save([GONE], 1.5e9)
    rig = Rig("/a")
    tombstones = Tombstones(tmp_path / "state", tmp_path)
    rig.collector = Collector(
        rig.kernel,  # type: ignore[arg-type]
        rig.hierarchy,
        {},
        tmp_path,
        True,
        tombstones,
    )
    rig.kernel.pages[GONE, X] = 9
    rig.tell(RMDIR, GONE, "ab" * 32)
    rig.collector.take_baseline()
    row = rig.row(place)
    assert (row.state, row.identity.name, row.identity.resolved_by) == (
        "removed",
        "web",
        "tombstone",
    )
    assert resident(row) == 9
    assert rig.sample().features["tombstones"].enabled


def test_a_pod_has_its_name_in_the_first_sample(tmp_path: Path) -> None:
    """Its containers tell it; they come after it in every list."""
    pod = f"/pod{trees.UID}"
    trees.pod(tmp_path)
    config = trees.text("config_cri_container.json").replace(trees.POD, pod)
    trees.bundle(tmp_path, "k8s.io", trees.POSTGRES, config)
    rig = Rig(pod, f"{pod}/{trees.POSTGRES}")
    rig.collector = Collector(rig.kernel, rig.hierarchy, {}, tmp_path, True)  # type: ignore[arg-type]
    identity = rig.row(pod).identity
    assert (identity.kind, identity.name, identity.namespace) == ("pod", "pg-0", "shop")
