"""Shared memory is page cache too: tmpfs files, anonymous shared mappings, files without a name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.harness.expect import assert_exact, same_file
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import Memtrace
from tests.kernel.harness.quiet import Quiet
from tests.kernel.harness.room import Room, Rooms

PAGES = 2099
TMPFS = "/dev/shm"
PAGEOUTS = 5
BATCH = 31
"""PAGEVEC_SIZE: how many pages a CPU collects before it puts them on the LRU."""


@dataclass(frozen=True)
class Scene:
    """The rooms and pids of this module, and what memtrace says."""

    snapshot: Quiet
    tmpfs: Room
    tmpfs_pid: int
    tmpfs_file: Path
    shared: Room
    shared_pid: int
    again: Room
    again_pid: int
    nameless: Room
    nameless_pid: int


@pytest.fixture(scope="module")
def scene(memtrace: Memtrace, rooms: Rooms) -> Iterator[Scene]:
    """A tmpfs file, shared mappings and an O_TMPFILE, all held while we look."""
    labels = ("tmpfs", "shared", "again", "nameless")
    tmpfs, shared, again, nameless = (rooms.open(label) for label in labels)
    with tempfile.TemporaryDirectory(prefix="memtrace-test-", dir=TMPFS) as directory:
        path = Path(directory) / "file"
        pid = tmpfs.run("write", path, PAGES, 65536)
        shared_pid = shared.hold("shared", PAGES).pid
        again_pid = again.hold("pageout", PAGES, PAGEOUTS).pid
        nameless_pid = nameless.hold("tmpfile", nameless.directory, PAGES).pid
        yield Scene(
            snapshot=rooms.settle(memtrace),
            tmpfs=tmpfs,
            tmpfs_pid=pid,
            tmpfs_file=path,
            shared=shared,
            shared_pid=shared_pid,
            again=again,
            again_pid=again_pid,
            nameless=nameless,
            nameless_pid=nameless_pid,
        )


@pytest.mark.parametrize("name", ["tmpfs", "shared", "nameless"])
def test_ledger_equals_memory_stat(scene: Scene, name: str) -> None:
    """What is attributed is what memory.stat says, to the page, shared memory included."""
    room: Room = getattr(scene, name)
    row = assert_exact(scene.snapshot, room.cgroup)
    assert row.attributed >= PAGES * PAGE - row.removed_by("reclaim")


@pytest.mark.parametrize("name", ["tmpfs", "shared"])
def test_shared_memory_is_a_kind_of_its_own(scene: Scene, name: str) -> None:
    """Shared memory counts as shmem, whichever call brought it in, once, and names its process."""
    room: Room = getattr(scene, name)
    row = scene.snapshot.row(room.cgroup.path)
    pid = getattr(scene, f"{name}_pid")
    assert row["shmem_bytes"] == PAGES * PAGE
    assert row.io("shmem") == PAGES * PAGE
    assert row.removed_by("other") == 0
    assert row.driven(kind="shmem", tgid=pid) == PAGES * PAGE


def test_a_page_put_back_on_the_lru_is_not_added_again(scene: Scene) -> None:
    """Pages that could not be paged out are put back, and are still what they were: added once."""
    row = assert_exact(scene.snapshot, scene.again.cgroup)
    assert row.io("shmem") == PAGES * PAGE
    assert row.driven(kind="shmem", tgid=scene.again_pid) == PAGES * PAGE
    assert row.removed_by("other") == PAGES * PAGE - row["shmem_bytes"]


def test_tmpfs_path_is_right_or_absent(scene: Scene) -> None:
    """A tmpfs driver names the file, or nothing where the kernel cannot say; never another."""
    row = scene.snapshot.row(scene.tmpfs.cgroup.path)
    paths = {driver["path"] for driver in row.drivers(kind="shmem")}
    assert paths <= {None, str(scene.tmpfs_file)}


def test_nameless_file_says_so(scene: Scene) -> None:
    """An O_TMPFILE is shown by its directory and inode number, and as deleted."""
    row = scene.snapshot.row(scene.nameless.cgroup.path)
    (driver,) = row.drivers(kind="write", tgid=scene.nameless_pid)
    assert driver["added_bytes"] == PAGES * PAGE
    assert driver["path"] is None or f"#{driver['inode']}" in driver["path"]
    (entry,) = row.files(inode=driver["inode"], device=driver["device"])
    assert entry["deleted"] is True
    reclaimed = row.removed_by("reclaim")
    assert PAGES * PAGE - reclaimed <= entry["resident_bytes"] <= PAGES * PAGE


@dataclass(frozen=True)
class Writers:
    """Processes that wrote tmpfs at the same time: who, and how many pages, by file."""

    snapshot: Quiet
    pair: Room
    sharers: tuple[Room, Room]
    written: dict[Path, tuple[int, int]]
    common: Path


@pytest.fixture(scope="module")
def writers(memtrace: Memtrace, rooms: Rooms) -> Iterator[Writers]:
    """Two processes of one cgroup, each on its own file, and two cgroups on one file, at once."""
    pair = rooms.open("pair")
    sharers = rooms.open("sharer-a"), rooms.open("sharer-b")
    with tempfile.TemporaryDirectory(prefix="memtrace-test-", dir=TMPFS) as name:
        own = {Path(name) / "first": PAGES, Path(name) / "second": 2 * PAGES + 1}
        common = Path(name) / "common"
        tasks = [(pair, path, pages) for path, pages in own.items()]
        tasks += [(room, common, PAGES) for room in sharers]
        with ThreadPoolExecutor(len(tasks)) as pool:
            running = [pool.submit(room.run, "write", *what, PAGE) for room, *what in tasks]
            pids = [each.result() for each in running]
        written = {path: (pid, own[path]) for pid, path in zip(pids, own, strict=False)}
        yield Writers(rooms.settle(memtrace), pair, sharers, written, common)


def test_writers_side_by_side_have_exact_files(writers: Writers) -> None:
    """What was added is exact for each file, also while other processes add to tmpfs."""
    row = assert_exact(writers.snapshot, writers.pair.cgroup)
    assert row.removed_by("other") == 0
    for path, (_, pages) in writers.written.items():
        drivers = [each for each in row.drivers(kind="shmem") if same_file(each, path)]
        assert sum(each["added_bytes"] for each in drivers) == pages * PAGE


def test_writers_side_by_side_are_told_apart(writers: Writers) -> None:
    """A file's writer is named for it, except for what a neighbour's work put on the LRU."""
    row = writers.snapshot.row(writers.pair.cgroup.path)
    for path, (pid, _) in writers.written.items():
        drivers = [each for each in row.drivers(kind="shmem") if same_file(each, path)]
        first = max(drivers, key=lambda each: each["added_bytes"])
        assert (first["tgid"], first["syscall"]) == (pid, "write")


def test_one_file_of_two_cgroups_is_split_as_the_kernel_splits_it(writers: Writers) -> None:
    """Each cgroup has added what it is charged for."""
    for room in writers.sharers:
        row = assert_exact(writers.snapshot, room.cgroup)
        assert row.io("shmem") - row.removed_by("other") == row["shmem_bytes"]
        assert row.removed_by("other") <= BATCH * (os.cpu_count() or 1) * PAGE


def test_everything_goes_when_its_holder_goes(
    memtrace: Memtrace, rooms: Rooms, scene: Scene
) -> None:
    """Unlinked, unmapped and closed: the ledger returns to what memory.stat says, which is none."""
    os.unlink(scene.tmpfs_file)
    scene.shared.cgroup.end()
    scene.again.cgroup.end()
    scene.nameless.cgroup.end()
    snapshot = rooms.settle(memtrace)
    for room in (scene.tmpfs, scene.shared, scene.again, scene.nameless):
        row = assert_exact(snapshot, room.cgroup)
        assert row.cache("removed") >= PAGES * PAGE
        assert row["shmem_bytes"] == 0
