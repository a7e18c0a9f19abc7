"""A file system's own blocks are page cache of its block device, and are charged."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.harness.expect import assert_exact
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import Memtrace
from tests.kernel.harness.room import Rooms
from tests.outcomes import unavailable

IMAGE_PAGES = 8191
READ_PAGES = 1009
DIRECTORIES = 307


@pytest.fixture(scope="module")
def device(disk: Path) -> Iterator[Path]:
    """A loop device over an image of our own, with a file system of many directories."""
    image, tree = disk / "image", disk / "tree"
    for number in range(DIRECTORIES):
        (tree / str(number)).mkdir(parents=True)
    image.write_bytes(b"\0" * (IMAGE_PAGES * PAGE))
    subprocess.run(["mkfs.ext4", "-q", "-b", str(PAGE), "-d", tree, image], check=True)
    found = subprocess.run(
        ["losetup", "--find", "--show", image], capture_output=True, text=True, check=False
    )
    if found.returncode:
        unavailable(f"no loop device: {found.stderr.strip()}")
    yield Path(found.stdout.strip())
    subprocess.run(["losetup", "--detach", found.stdout.strip()], check=True)


def test_walking_a_cold_file_system_is_metadata(
    memtrace: Memtrace, rooms: Rooms, device: Path, disk: Path
) -> None:
    """`find` on a freshly mounted file system brings in one block per directory at least."""
    room, mount = rooms.open("find"), disk / "mount"
    mount.mkdir()
    subprocess.run(["mount", "-o", "ro", device, mount], check=True)
    try:
        room.cgroup.run("find", mount)
        row = assert_exact(rooms.settle(memtrace), room.cgroup)
        assert row.io("metadata") >= DIRECTORIES * PAGE
        assert row.driven(kind="metadata", comm="find") == row.io("metadata")
    finally:
        subprocess.run(["umount", mount], check=True)


def test_reading_a_block_device_is_metadata(memtrace: Memtrace, rooms: Rooms, device: Path) -> None:
    """Pages of a block device count as metadata, whatever call read them."""
    subprocess.run(["blockdev", "--flushbufs", device], check=True)
    room = rooms.open("device")
    room.cgroup.run("dd", f"if={device}", "of=/dev/null", f"bs={READ_PAGES * PAGE}", "count=1")
    row = assert_exact(rooms.settle(memtrace), room.cgroup)
    assert row.io("metadata") >= READ_PAGES * PAGE
    assert row.io("read") == 0
