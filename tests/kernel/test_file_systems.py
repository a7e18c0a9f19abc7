"""On every file system: ledger and memory.stat agree to the page, and the file has its path."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kernel.harness.expect import Added, assert_exact, same_file
from tests.kernel.harness.files import PAGE, cached_pages, cold_file
from tests.kernel.harness.memtrace import Memtrace, Row
from tests.kernel.harness.mounted import mounted, mounted_again
from tests.kernel.harness.quiet import Quiet
from tests.kernel.harness.room import Room, Rooms
from tests.kernel.harness.workloads import Workloads

PAGES = 1511
KEPT = 307
KINDS = ("ext4", "xfs", "btrfs", "overlay", "tmpfs")


def write(room: Room) -> Added:
    """write(2), 64 KiB a call."""
    pid = room.run("write", room.path("out"), PAGES, 65536)
    return Added(room.path("out"), "write", PAGES, pid, "write", "write")


def read(room: Room) -> Added:
    """read(2) of a cold file."""
    path = room.cold("in", PAGES)
    return Added(path, "read", PAGES, room.run("read", path, "read"), "read", "read")


def load(room: Room) -> Added:
    """Faults on a mapped cold file."""
    path = room.cold("in", PAGES)
    pid = room.run("fault", path, "touch")
    return Added(path, "mmap", PAGES, pid, "fault", "page fault")


def store(room: Room) -> Added:
    """Stores into a mapped sparse file."""
    path = room.path("sparse")
    return Added(path, "mmap", PAGES, room.run("fault", path, PAGES), "fault", "page fault")


def truncate(room: Room) -> Added:
    """Write, then cut in the middle of a page."""
    added = write(room)
    os.truncate(added.path, KEPT * PAGE - 1000)
    return added


def unlink(room: Room) -> Added:
    """Write, then remove."""
    added = write(room)
    added.path.unlink()
    return added


ACTS: dict[str, Callable[[Room], Added]] = {
    "write": write,
    "read": read,
    "load": load,
    "store": store,
    "truncate": truncate,
    "unlink": unlink,
}
IN_MEMORY = ("write", "store", "truncate", "unlink")
"""On tmpfs no file is ever cold."""

Scene = tuple[Quiet, dict[str, tuple[Room, Added]]]


@pytest.fixture(scope="module", params=KINDS)
def scene(request: pytest.FixtureRequest, disk: Path, workloads: Workloads) -> Iterator[Scene]:
    """Every act in a cgroup of its own on a new file system, mounted before memtrace starts."""
    kind = request.param
    acts = {name: ACTS[name] for name in (IN_MEMORY if kind == "tmpfs" else ACTS)}
    with ExitStack() as stack:
        point = stack.enter_context(mounted(kind, disk / kind))
        memtrace = stack.enter_context(Memtrace())
        memtrace.first()
        rooms = stack.enter_context(Rooms(point, workloads))
        outcomes = rooms.act_all(acts)
        yield rooms.settle(memtrace), outcomes


@pytest.mark.parametrize("act", ACTS)
def test_ledger_equals_memory_stat(scene: Scene, act: str) -> None:
    """When all is quiet, what is attributed is what memory.stat says, to the page."""
    snapshot, outcomes = scene
    if act in outcomes:
        assert_exact(snapshot, outcomes[act][0].cgroup)


@pytest.mark.parametrize("act", ACTS)
def test_driver_has_the_file_and_the_pages(scene: Scene, act: str) -> None:
    """The process brought in just so many pages of the file, in the way it did."""
    snapshot, outcomes = scene
    if act not in outcomes:
        return
    room, added = outcomes[act]
    drivers = snapshot.row(room.cgroup.path)["drivers"]
    rows = [row for row in drivers if row["path"] == _path(room, added)]
    if rows[0]["kind"] == "shmem":  # told when they are put on the LRU: maybe twice, or late
        assert (rows[0]["comm"], rows[0]["tgid"]) == (added.comm, added.pid)
        assert sum(row["added_bytes"] for row in rows) >= added.bytes
        return
    shown = [(row["tgid"], row["kind"], row["syscall"], row["added_bytes"]) for row in rows]
    assert shown == [(added.pid, added.kind, added.syscall, added.bytes)]


@pytest.mark.parametrize("act", ACTS)
def test_file_shows_what_is_left(scene: Scene, act: str) -> None:
    """A file that is still there has the pages that the kernel says are left of it."""
    snapshot, outcomes = scene
    if act not in outcomes:
        return
    room, added = outcomes[act]
    if not added.path.exists():
        return
    (entry,) = snapshot.row(room.cgroup.path).files(path=_path(room, added))
    assert entry["resident_bytes"] == cached_pages(_path(room, added)) * PAGE
    assert same_file(entry, _path(room, added))


@pytest.fixture(scope="module")
def pool(disk: Path, workloads: Workloads) -> Iterator[tuple[Quiet, Room, Path, Path]]:
    """A btrfs of which one subvolume is seen in the pool, and another is mounted elsewhere, too."""
    with ExitStack() as stack:
        point = stack.enter_context(mounted("btrfs", disk / "pool"))
        for name in ("seen", "hidden"):
            subprocess.run(["btrfs", "-q", "subvolume", "create", point / name], check=True)
        short = stack.enter_context(mounted_again(point, "hidden", disk / "h"))
        memtrace = stack.enter_context(Memtrace())
        memtrace.first()
        rooms = stack.enter_context(Rooms(point / "rooms", workloads))
        room = rooms.open("subvolumes")
        room.run("write", point / "seen/first", PAGES, 65536)
        room.run("write", point / "hidden/second", KEPT, 65536)
        yield rooms.settle(memtrace), room, point / "seen/first", short / "second"


def test_subvolumes_of_btrfs_have_their_paths(pool: tuple[Quiet, Room, Path, Path]) -> None:
    """Each file by its shortest visible path, whichever way it was written."""
    snapshot, room, first, second = pool
    row = assert_exact(snapshot, room.cgroup)
    assert row.driven(path=str(first), kind="write") == PAGES * PAGE
    assert row.driven(path=str(second), kind="write") == KEPT * PAGE
    for path in (first, second):
        (entry,) = row.files(path=str(path))
        assert same_file(entry, path)


def _settled(rooms: Rooms, memtrace: Memtrace, room: Room, path: Path) -> Row:
    """The room's row at a moment when nobody reclaims that file's pages; or the last try's."""
    for _ in range(4):
        row = assert_exact(rooms.settle(memtrace), room.cgroup)
        left = [entry["resident_bytes"] for entry in row.files(path=str(path))]
        if left == [cached_pages(path) * PAGE]:
            break
    return row


def test_a_file_and_its_snapshot_are_two(rooms: Rooms, disk: Path) -> None:
    """Of equal inode number and generation, told apart by the device that stat() shows."""
    with mounted("btrfs", disk / "copied") as point:
        first, second = point / "first", point / "second"
        subprocess.run(["btrfs", "-q", "subvolume", "create", first], check=True)
        cold_file(first / "file", PAGES)
        subprocess.run(["btrfs", "-q", "subvolume", "snapshot", first, second], check=True)
        with Memtrace() as memtrace:
            memtrace.first()
            room = rooms.open("copied")
            room.run("read", first / "file", "read")
            room.run("read", second / "file", "pread", 0, KEPT)
            for path, pages in ((first / "file", PAGES), (second / "file", KEPT)):
                row = _settled(rooms, memtrace, room, path)
                (entry,) = row.files(path=str(path))
                assert same_file(entry, path)
                assert entry["resident_bytes"] == cached_pages(path) * PAGE
                assert entry["added_bytes"] == pages * PAGE
        with Memtrace() as later:  # by the walk
            row = rooms.settle(later).row(room.cgroup.path)
            for path in (first / "file", second / "file"):
                (entry,) = row.files(path=str(path))
                assert same_file(entry, path)


def _path(room: Room, added: Added) -> str:
    """The host path of the file the kernel means: of an overlay's file, that of its layer."""
    point = room.directory.parent
    upper = point.parent / "upper"
    return str(upper / added.path.relative_to(point) if upper.exists() else added.path)
