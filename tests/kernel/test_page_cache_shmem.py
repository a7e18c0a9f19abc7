"""Shared memory is page cache too: tmpfs files, anonymous shared mappings, files without a name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.harness.expect import assert_exact
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import Memtrace
from tests.kernel.harness.quiet import Quiet
from tests.kernel.harness.room import Room, Rooms

PAGES = 2099
TMPFS = "/dev/shm"


@dataclass(frozen=True)
class Scene:
    """The rooms and pids of this module, and what memtrace says."""

    snapshot: Quiet
    tmpfs: Room
    tmpfs_pid: int
    tmpfs_file: Path
    shared: Room
    shared_pid: int
    nameless: Room
    nameless_pid: int


@pytest.fixture(scope="module")
def scene(memtrace: Memtrace, rooms: Rooms) -> Iterator[Scene]:
    """A tmpfs file, a shared mapping and an O_TMPFILE, all held while we look."""
    tmpfs, shared, nameless = (rooms.open(label) for label in ("tmpfs", "shared", "nameless"))
    with tempfile.TemporaryDirectory(prefix="memtrace-test-", dir=TMPFS) as directory:
        path = Path(directory) / "file"
        pid = tmpfs.run("write", path, PAGES, 65536)
        shared_pid = shared.hold("shared", PAGES).pid
        nameless_pid = nameless.hold("tmpfile", nameless.directory, PAGES).pid
        yield Scene(
            rooms.settle(memtrace), tmpfs, pid, path, shared, shared_pid, nameless, nameless_pid
        )


@pytest.mark.parametrize("name", ["tmpfs", "shared", "nameless"])
def test_ledger_equals_memory_stat(scene: Scene, name: str) -> None:
    """What is attributed is what memory.stat says, to the page, shared memory included."""
    room: Room = getattr(scene, name)
    row = assert_exact(scene.snapshot, room.cgroup)
    assert row.attributed >= PAGES * PAGE


@pytest.mark.parametrize("name", ["tmpfs", "shared"])
def test_shared_memory_is_a_kind_of_its_own(scene: Scene, name: str) -> None:
    """Shared memory counts as shmem, whichever call brought it in, and names its process.

    A page that the kernel takes off the LRU and puts back counts as added again; the walk
    of tmpfs finds that out and books it as removed for another reason.
    """
    room: Room = getattr(scene, name)
    row = scene.snapshot.row(room.cgroup.path)
    pid = getattr(scene, f"{name}_pid")
    assert row["shmem_bytes"] == PAGES * PAGE
    again = row.removed_by("other")
    assert row.io("shmem") - again == PAGES * PAGE
    assert again <= PAGES * PAGE // 4
    assert PAGES * PAGE <= row.driven(kind="shmem", tgid=pid) <= PAGES * PAGE + again


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
    assert entry["resident_bytes"] == PAGES * PAGE


def test_everything_goes_when_its_holder_goes(
    memtrace: Memtrace, rooms: Rooms, scene: Scene
) -> None:
    """Unlinked, unmapped and closed: the ledger returns to what memory.stat says, which is none."""
    os.unlink(scene.tmpfs_file)
    scene.shared.cgroup.end()
    scene.nameless.cgroup.end()
    snapshot = rooms.settle(memtrace)
    for room in (scene.tmpfs, scene.shared, scene.nameless):
        row = assert_exact(snapshot, room.cgroup)
        assert row.cache("removed") >= PAGES * PAGE
        assert row["shmem_bytes"] == 0
