"""Who pays: the first toucher; parents add up their children; removed cgroups keep their pages."""

from __future__ import annotations

import pytest

from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.expect import assert_exact, same_file
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import Memtrace
from tests.kernel.harness.quiet import Quiet
from tests.kernel.harness.room import Room, Rooms

PAGES = 4099
PART = 1009
CHILD_PAGES = 1511
LOCAL_PAGES = 907


@pytest.fixture(scope="module")
def shared(memtrace: Memtrace, rooms: Rooms) -> tuple[Quiet, Room, Room]:
    """One file: the first cgroup reads a part of it, the second all of it, the first all again."""
    first, second = rooms.open("first"), rooms.open("second")
    path = first.cold("both", PAGES)
    first.run("read", path, "pread", 0, PART)
    second.run("read", path, "pread", 0, PAGES)
    first.run("read", path, "pread", 0, PAGES)
    return rooms.settle(memtrace), first, second


def test_first_toucher_pays(shared: tuple[Quiet, Room, Room]) -> None:
    """Each page of a shared file is charged to the cgroup that touched it first, and only there."""
    snapshot, first, second = shared
    path = first.path("both")
    for room, pages in ((first, PART), (second, PAGES - PART)):
        row = assert_exact(snapshot, room.cgroup)
        drivers = [driver for driver in row["drivers"] if same_file(driver, path)]
        assert [driver["added_bytes"] for driver in drivers] == [pages * PAGE]


def test_owner_change_follows_the_file(memtrace: Memtrace, rooms: Rooms) -> None:
    """A file dropped and read again by another cgroup moves from one ledger to the other."""
    before, after = rooms.open("before"), rooms.open("after")
    path = before.cold("moving", PAGES)
    before.run("read", path, "read")
    before.cold("moving", PAGES)
    after.run("read", path, "read")
    snapshot = rooms.settle(memtrace)
    assert assert_exact(snapshot, before.cgroup).cache("removed") >= PAGES * PAGE
    assert assert_exact(snapshot, after.cgroup).io("read") == PAGES * PAGE


@pytest.fixture(scope="module")
def family(memtrace: Memtrace, rooms: Rooms) -> tuple[Quiet, Room, Room, Room]:
    """Three generations, each with pages of its own."""
    parent = rooms.open("parent")
    parent.run("write", parent.path("out"), LOCAL_PAGES, PAGE)
    child = rooms.open("child", parent.cgroup)
    child.run("write", child.path("out"), CHILD_PAGES, PAGE)
    grandchild = rooms.open("grandchild", child.cgroup)
    grandchild.run("write", grandchild.path("out"), PAGES, 1 << 20)
    return rooms.settle(memtrace), parent, child, grandchild


def test_parents_add_up_their_children(family: tuple[Quiet, Room, Room, Room]) -> None:
    """A parent's figures are hierarchical, as the kernel's are."""
    snapshot, *generations = family
    written = [LOCAL_PAGES, CHILD_PAGES, PAGES]
    for depth, room in enumerate(generations):
        row = assert_exact(snapshot, room.cgroup)
        assert row.io("write") == sum(written[depth:]) * PAGE


def test_parents_know_their_children(family: tuple[Quiet, Room, Room, Room]) -> None:
    """Rows say whose children they are, by the kernel's ids, and which are leaves."""
    snapshot, parent, child, grandchild = family
    rows = [snapshot.row(room.cgroup.path) for room in (parent, child, grandchild)]
    ids = [room.cgroup.cgroup_id for room in (parent, child, grandchild)]
    assert [row["cgroup_id"] for row in rows] == ids
    assert [row["parent_id"] for row in rows[1:]] == ids[:2]
    assert rows[2]["leaf"] is True
    assert rows[0]["leaf"] is False


@pytest.fixture(scope="module")
def orphaned(memtrace: Memtrace, rooms: Rooms) -> tuple[Quiet, Room, str]:
    """A child cgroup that wrote a file and was removed; the file, and its pages, live on."""
    parent = rooms.open("widow")
    with Cgroup("gone", parent.cgroup) as child:
        gone = child.path
        child.run(parent.workloads["write"], parent.path("left"), str(PAGES), "4096")
    return rooms.settle(memtrace), parent, gone


def test_removed_cgroup_keeps_its_pages(orphaned: tuple[Quiet, Room, str]) -> None:
    """A removed cgroup is shown as removed, under its name, with the pages it still pays for."""
    snapshot, parent, gone = orphaned
    row = snapshot.row(gone)
    assert row["state"] == "removed"
    assert row.attributed >= PAGES * PAGE
    driver = next(entry for entry in row["drivers"] if same_file(entry, parent.path("left")))
    assert (driver["comm"], driver["added_bytes"]) == ("write", PAGES * PAGE)


def test_parent_of_a_removed_cgroup_is_exact(
    memtrace: Memtrace, rooms: Rooms, orphaned: tuple[Quiet, Room, str]
) -> None:
    """The parent counts a removed child's pages while they live, and their going afterwards."""
    snapshot, parent, _ = orphaned
    assert assert_exact(snapshot, parent.cgroup).attributed >= PAGES * PAGE
    parent.path("left").unlink()
    row = assert_exact(rooms.settle(memtrace), parent.cgroup)
    assert row.removed_by("unlink") >= PAGES * PAGE
    assert row.cache("added") >= PAGES * PAGE
