"""Attaching while kernel memory grows, reading what was allocated, and what nobody watched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memtrace.collect import slab_watch
from memtrace.collect.slab_watch import SlabWatcher
from memtrace.kernel import wire
from memtrace.kernel.errors import BpfError
from memtrace.kernel.slab_probe import Cache
from memtrace.samples import Feature, Memory, SlabCulprits, SlabWatch
from tests.unit.collect import records

MIB = 1 << 20
CGROUP, OTHER, ROOT = 7, 8, 1
DENTRY = 0xFFFF888000001000
ON = Feature(True)


class FakeProbe:
    """Rows and caches as the kernel would have them."""

    def __init__(self) -> None:
        self.counts: dict[bytes, int] = {}
        self.closed = False

    def allocate(self, cgroup: int, objects: int, tgid: int = 100) -> None:
        """So many more dentries, by stat()."""
        row = wire.SLAB_KEY.pack(cgroup, DENTRY, records.process(tgid), 262, 0)
        self.counts[row] = self.counts.get(row, 0) + objects

    def rows(self) -> Iterator[tuple[bytes, int]]:
        assert not self.closed
        return iter(list(self.counts.items()))

    def cache(self, address: int) -> Cache | None:
        return Cache("dentry", 200) if address == DENTRY else None

    def forget(self, row: bytes) -> None:
        del self.counts[row]

    def close(self) -> None:
        self.closed = True


class FakeSession:
    """Hands out probes, or refuses."""

    def __init__(self, refuses: bool = False) -> None:
        self.probes: list[FakeProbe] = []
        self._refuses = refuses

    def watch_slab(self) -> FakeProbe:
        if self._refuses:
            raise BpfError(1, "load slab")
        self.probes.append(FakeProbe())
        return self.probes[-1]

    @property
    def attached(self) -> int:
        return sum(not probe.closed for probe in self.probes)


class Rig:
    """A watcher of a few cgroups, sampled every two seconds."""

    def __init__(self, feature: Feature = ON, refuses: bool = False) -> None:
        self.session = FakeSession(refuses)
        self.watcher = SlabWatcher(self.session, feature, lambda process: "find")  # type: ignore[arg-type]
        self.now = 1000.0

    def sample(self, born: bool = False, **figures: int | None) -> dict[str, SlabCulprits]:
        """One sample: figures by name (root, cgroup, other), in MiB; None: gone."""
        self.now += 2
        self.watcher.gather()
        ids = {"root": ROOT, "cgroup": CGROUP, "other": OTHER}
        found = {
            name: self.watcher.of(
                ids[name],
                None if figure is None else Memory(slab_reclaimable_bytes=figure * MIB),
                born,
                name == "root",
            )
            for name, figure in figures.items()
        }
        self.watcher.decide(self.now, self.now + 5e8)
        return found

    def grown(self) -> FakeProbe:
        """Armed by the growth of one cgroup from 10 to 30 MiB."""
        for figure in (10, 20, 30):
            self.sample(cgroup=figure)
        return self.session.probes[-1]


def test_nothing_is_attached_before_growth_and_after_it() -> None:
    """Before, during, after: none, one, none."""
    rig = Rig()
    rig.sample(cgroup=10)
    assert rig.session.attached == 0
    rig.grown()
    assert rig.session.attached == 1
    for _ in range(6):
        rig.sample(cgroup=30)
    assert rig.session.attached == 0
    assert rig.watcher.state == SlabWatch(False, 1008 + 5e8)


def test_growth_of_other_kernel_memory_attaches_nothing_on_v1() -> None:
    """There a cgroup tells all kernel memory: what slab of the machine did not grow by is none."""
    session, machine = FakeSession(), iter([50, 50, 50, 60, 70])
    watcher = SlabWatcher(
        session,  # type: ignore[arg-type]
        ON,
        lambda process: "find",
        lambda: next(machine) * MIB,
    )
    attached = []
    for number in range(5):
        watcher.of(CGROUP, Memory(kernel_bytes=10 * MIB * number), False, False)
        watcher.decide(1000.0 + 2 * number, 0.0)
        attached.append(session.attached)
    assert attached == [0, 0, 0, 0, 1]


def test_what_is_allocated_is_told_of_who_paid() -> None:
    """By cgroup, and each count once."""
    rig = Rig()
    probe = rig.grown()
    probe.allocate(CGROUP, 1009)
    found = rig.sample(cgroup=31, other=0)
    assert [(row.comm, row.objects) for row in found["cgroup"].rows] == [("find", 1009)]
    assert found["other"].rows == ()
    probe.allocate(CGROUP, 4)
    (row,) = rig.sample(cgroup=32)["cgroup"].rows
    assert (row.objects, row.recent_bytes) == (1013, 800)


def test_growth_before_observation_has_no_culprit() -> None:
    """Neither what was there at the first look nor what grew then; what grew watched has one."""
    rig = Rig()
    rig.grown()
    assert rig.sample(cgroup=90)["cgroup"].unwatched_bytes == 30 * MIB
    young = Rig()
    assert young.sample(born=True, cgroup=3)["cgroup"].unwatched_bytes == 3 * MIB


def test_what_was_given_back_is_no_growth() -> None:
    """What is left of it is what there is."""
    rig = Rig()
    rig.sample(cgroup=10)
    rig.sample(cgroup=12)
    assert rig.sample(cgroup=5)["cgroup"].unwatched_bytes == 5 * MIB


def test_what_is_allocated_last_is_read_before_it_is_detached() -> None:
    """Also in the interval that ends the watching; and what was counted stays."""
    rig = Rig()
    probe = rig.grown()
    for _ in range(4):
        rig.sample(cgroup=30)
    probe.allocate(CGROUP, 17)
    for _ in range(3):
        found = rig.sample(cgroup=30)
    assert probe.closed
    assert [row.objects for row in found["cgroup"].rows] == [17]


def test_growth_again_goes_on_counting() -> None:
    """A second probe starts from nothing, the rows do not."""
    rig = Rig()
    rig.grown().allocate(CGROUP, 5)
    for figure in (30, 30, 30, 30, 30, 30, 40):
        rig.sample(cgroup=figure)
    rig.sample(cgroup=50)
    assert len(rig.session.probes) == 2
    rig.session.probes[1].allocate(CGROUP, 2)
    assert [row.objects for row in rig.sample(cgroup=51)["cgroup"].rows] == [7]


def test_the_roots_growth_arms_nothing() -> None:
    """What no cgroup pays for has no culprit either way."""
    rig = Rig()
    for figure in (10, 50, 90, 130):
        rig.sample(root=figure)
    assert rig.session.probes == []


def test_a_request_attaches_at_the_next_sample() -> None:
    """And its end detaches once nothing grows."""
    rig = Rig()
    rig.watcher.request(True)
    rig.sample(cgroup=1)
    assert rig.session.attached == 1
    rig.watcher.request(False)
    for _ in range(6):
        rig.sample(cgroup=1)
    assert rig.session.attached == 0


def test_a_refusal_is_told_once_and_not_tried_again() -> None:
    """The feature is off from then on, with the kernel's words."""
    rig = Rig(refuses=True)
    rig.sample(cgroup=10)
    rig.sample(cgroup=20)
    rig.sample(cgroup=30)
    assert not rig.watcher.feature.enabled
    assert "load slab" in rig.watcher.feature.reason
    rig.sample(cgroup=40)
    assert rig.watcher.state.armed is False


def test_without_the_event_nothing_is_attached() -> None:
    """Growth is still known to be nobody's."""
    rig = Rig(Feature(False, "before 6.1"))
    for figure in (10, 20, 30):
        found = rig.sample(cgroup=figure)
    assert rig.session.probes == []
    assert found["cgroup"].unwatched_bytes == 30 * MIB


def test_the_same_object_while_nothing_changes() -> None:
    """What is shared with the sample before costs nothing after it."""
    rig = Rig()
    first = rig.sample(cgroup=10)["cgroup"]
    assert rig.sample(cgroup=10)["cgroup"] is first


def test_a_removed_cgroup_keeps_what_was_told() -> None:
    """Its files are gone: no figure, but the same culprits."""
    rig = Rig()
    rig.grown().allocate(CGROUP, 3)
    rig.sample(cgroup=31)
    gone = rig.sample(cgroup=None)["cgroup"]
    assert [row.objects for row in gone.rows] == [3]
    assert gone.unwatched_bytes == 30 * MIB


def test_a_released_cgroup_leaves_its_culprits_to_its_parent() -> None:
    """What it still pays for is charged there."""
    rig = Rig()
    rig.grown().allocate(CGROUP, 3)
    rig.sample(cgroup=31, other=1)
    rig.watcher.fold(CGROUP, OTHER)
    assert [row.objects for row in rig.sample(other=1)["other"].rows] == [3]


def test_rows_that_stand_still_make_room_when_the_kernels_table_fills(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ended processes' rows go, the sum stays; who goes on keeps its row."""
    monkeypatch.setattr(slab_watch, "CROWDED", 10)
    rig = Rig()
    probe = rig.grown()
    for tgid in range(1, 21):
        probe.allocate(CGROUP, 1, tgid)
    rig.sample(cgroup=31)
    probe.allocate(CGROUP, 1, 20)
    found = rig.sample(cgroup=32)["cgroup"]
    assert len(probe.counts) == 1
    assert found.allocated_bytes == 21 * 200
    probe.allocate(CGROUP, 1, 1)
    assert rig.sample(cgroup=33)["cgroup"].allocated_bytes == 22 * 200


def test_a_cache_that_was_not_told_is_named_so() -> None:
    """No name, no size: its objects count."""
    rig = Rig()
    probe = rig.grown()
    probe.counts[wire.SLAB_KEY.pack(CGROUP, 5, records.process(9), -1, 0)] = 3
    (row,) = rig.sample(cgroup=31)["cgroup"].rows
    assert (row.cache, row.syscall, row.objects, row.bytes) == ("unnamed cache", "page fault", 3, 0)
