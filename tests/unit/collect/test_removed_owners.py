"""Cgroups removed on a kernel that charges their pages to the parent, and tells no release."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrace.collect import collector as module
from memtrace.collect.removed_owners import forget_folded
from tests.unit.collect import records
from tests.unit.collect.fake_kernel import PAGE, FakeKernel, Rig, departed, resident
from tests.unit.collect.records import MKDIR, RECLAIM, RMDIR

X, Y = records.file(1), records.file(2)
CHILD, GRANDCHILD = 999_999_999_001, 999_999_999_002
KEY = b"an owner"


class Reparenting(FakeKernel):
    """Whose owner is forgotten, that cgroup's pages are its heir's from then on."""

    def __init__(self) -> None:
        super().__init__()
        self.heirs: dict[int, int] = {}

    def drop_removed_owner(self, key: bytes) -> None:
        gone = self.owners.pop(key)
        for owner, file in list(self.pages):
            if owner == gone:
                self.pages[self.heirs[gone], file] += self.pages.pop((owner, file))


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A cgroup /a that is there before the start, a baseline, and every sample repairs the tree."""
    monkeypatch.setattr(module, "REPAIR_SECONDS", 0.0)
    made = Rig("/a", kernel=Reparenting())
    made.collector.take_baseline()
    return made


def grow(rig: Rig, cgroup: int, path: str, parent: str = "/a") -> None:
    """Make a cgroup with 9 pages of one file and 4 of another."""
    rig.tell(MKDIR, cgroup, path, parent)
    rig.kernel.add(cgroup, X, 9)
    rig.kernel.add(cgroup, Y, 4)


def remove(rig: Rig, cgroup: int, path: str, parent: str = "/a") -> None:
    """Remove it: the kernel side remembers its owner, and tells nothing further."""
    rig.tell(RMDIR, cgroup, path, parent)
    rig.kernel.owners[KEY + str(cgroup).encode()] = cgroup
    kernel = rig.kernel
    assert isinstance(kernel, Reparenting)
    kernel.heirs[cgroup] = rig.id("/a")


def test_what_is_left_of_a_removed_cgroup_stays_its_own(rig: Rig) -> None:
    """9 of its 13 pages are unlinked after its removal: 4 are left in its row, its parent has 0."""
    grow(rig, CHILD, "/a/c")
    remove(rig, CHILD, "/a/c")
    for _ in range(3):
        rig.sample()
    rig.kernel.remove(CHILD, X, 9)
    sample = rig.sample()
    row = rig.row("/a/c", sample)
    assert (row.state, resident(row)) == ("removed", 4)
    assert resident(rig.row("/a", sample)) == 0


def test_a_removed_cgroup_is_folded_once_it_is_empty(rig: Rig) -> None:
    """No release is told: two repairs find nothing left, and its owner is forgotten with it."""
    grow(rig, CHILD, "/a/c")
    remove(rig, CHILD, "/a/c")
    rig.kernel.remove(CHILD, X, 9)
    rig.kernel.remove(CHILD, Y, 4)
    for _ in range(3):
        sample = rig.sample()
    assert "/a/c" not in [row.path for row in sample.cgroups]
    assert rig.kernel.owners == {}
    above = rig.row("/a", sample)
    assert (departed(above), sum(above.ledger.departed_added)) == (0, 13 * PAGE)
    assert CHILD not in rig.kernel.sums


def test_owners_of_shown_cgroups_are_kept(rig: Rig) -> None:
    """A repair forgets nobody whose pages live on."""
    grow(rig, CHILD, "/a/c")
    remove(rig, CHILD, "/a/c")
    for _ in range(4):
        rig.sample()
    assert list(rig.kernel.owners.values()) == [CHILD]


def test_an_owner_whose_events_wait_is_kept() -> None:
    """Made and removed since the events were read: known as soon as they are."""
    kernel = FakeKernel()
    kernel.owners = {KEY: CHILD, b"no one's": GRANDCHILD}
    known: set[int] = set()
    forget_folded(kernel, known, lambda: known.add(CHILD))
    assert kernel.owners == {KEY: CHILD}


def test_without_removed_owners_no_event_is_read() -> None:
    """On all other kernels it costs nothing."""
    forget_folded(FakeKernel(), (), lambda: pytest.fail("drained"))


def test_a_cgroup_whose_parent_is_removed_too_keeps_its_figures(rig: Rig) -> None:
    """Child and grandchild are removed, one after the other: each keeps its row and its pages."""
    grow(rig, CHILD, "/a/c")
    grow(rig, GRANDCHILD, "/a/c/g", "/a")
    remove(rig, GRANDCHILD, "/a/c/g")
    rig.sample()
    remove(rig, CHILD, "/a/c")
    rig.kernel.remove(GRANDCHILD, X, 9, RECLAIM)
    sample = rig.sample()
    assert [resident(rig.row(path, sample)) for path in ("/a", "/a/c", "/a/c/g")] == [0, 13, 4]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_happens_sums_hold_and_nothing_is_negative(seed: int) -> None:
    """Pages come and go, cgroups are removed, the tree is repaired: each row is the truth."""
    chance = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "REPAIR_SECONDS", 0.0)
        rig = Rig("/a", kernel=Reparenting())
        rig.kernel.pages[rig.id("/a"), Y] = chance.randrange(9)
        rig.collector.take_baseline()
        living = {}
        for path in ("/a/0", "/a/1", "/a/2", "/a/3"):
            (rig.mount / path[1:]).mkdir()
            living[rig.id(path)] = path
            rig.tell(MKDIR, rig.id(path), path, "/a")
        everyone = [*living, rig.id("/a")]
        for _ in range(40):
            happen(rig, chance, everyone, living)
        sample = rig.sample()
        for row in sample.cgroups:
            assert resident(row) == rig.kernel.resident(row.cgroup_id)
        whole = sum((resident(row) or 0) + (departed(row) or 0) for row in sample.cgroups)
        assert whole == sum(rig.kernel.pages.values())


def happen(rig: Rig, chance: random.Random, everyone: list[int], living: dict[int, str]) -> None:
    """One thing: pages in, pages out, a removal, a sample."""
    what, file = chance.randrange(5), chance.choice([X, Y])
    if what == 0 and living:
        cgroup = chance.choice([*living, rig.id("/a")])
        rig.kernel.add(cgroup, file, chance.randrange(1, 7))
    elif what in (1, 2):
        rig.kernel.remove(chance.choice(everyone), file, chance.randrange(1, 9))
    elif what == 3 and living and chance.random() < 0.3:
        cgroup = chance.choice(list(living))
        (rig.mount / living[cgroup][1:]).rmdir()
        remove(rig, cgroup, living.pop(cgroup))
    else:
        rig.sample()
