"""A file's path of now by inode and generation, on real file systems; nothing happens to it."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from memtrace.host.file_handles import FileHandles, Found, OpenMount
from memtrace.host.mounts import MountTable
from tests.kernel.harness.mounted import mounted

GETVERSION = 0x80087601
GONE = Found(None, None)
Disk = tuple[Path, OpenMount]


def handles() -> FileHandles:
    """Of this machine's mounts as of now."""
    table = MountTable()
    table.refresh()
    return FileHandles(Path("/"), table)


def device_of(path: Path) -> int:
    """As in mountinfo."""
    device = path.stat().st_dev
    return os.major(device) << 20 | os.minor(device)


@pytest.fixture(scope="module", params=["ext4", "xfs"])
def disk_of(request: pytest.FixtureRequest, disk: Path) -> Iterator[Disk]:
    """A file system and its handles."""
    with ExitStack() as stack:
        point = stack.enter_context(mounted(request.param, disk / request.param))
        mount = stack.enter_context(handles().opened(device_of(point)))
        assert mount is not None
        yield point, mount


def key(path: Path) -> tuple[int, int]:
    """Inode number and generation, as the file system tells them."""
    with path.open("rb") as file:
        answer = fcntl.ioctl(file, GETVERSION, bytes(8))
        return os.fstat(file.fileno()).st_ino, int(struct.unpack("<I", answer[:4])[0])


@pytest.mark.parametrize("name", [b"plain", b"a\nb", b"x (deleted)", b"\xff", b"n" * 255])
def test_any_name_byte_for_byte(disk_of: Disk, name: bytes) -> None:
    """Renamed, unlinked while open, and gone."""
    point, mount = disk_of
    path = point / "tmp"
    path.write_bytes(b"x")
    file = key(path)
    path = path.rename(point / os.fsdecode(name))
    assert mount.find(*file) == Found(b"/" + name, 1)
    with path.open("rb"):
        path.unlink()
        assert mount.find(*file) == Found(b"/" + name, 0)
    assert mount.find(*file) == GONE


def test_another_generation_is_another_file(disk_of: Disk) -> None:
    """The number alone finds nothing."""
    point, mount = disk_of
    path = point / "generation"
    path.write_bytes(b"x")
    inode, generation = key(path)
    assert mount.find(inode, generation ^ 1) == GONE
    assert mount.find(inode + (1 << 40), generation) in (GONE, None)


def test_a_path_longer_than_a_page_is_not_told(disk_of: Disk) -> None:
    """None: it is left to somebody else, and no part of it is taken for the whole."""
    point, mount = disk_of
    top = os.open(point, os.O_RDONLY)
    for level in range(21):
        os.mkdir(f"{level:03}" + "x" * 197, dir_fd=top)
        below = os.open(f"{level:03}" + "x" * 197, os.O_RDONLY, dir_fd=top)
        os.close(top)
        top = below
    descriptor = os.open("last", os.O_CREAT | os.O_RDWR, dir_fd=top)
    answer = fcntl.ioctl(descriptor, GETVERSION, bytes(8))
    inode = os.fstat(descriptor).st_ino
    os.close(descriptor)
    os.close(top)
    assert mount.find(inode, struct.unpack("<I", answer[:4])[0]) is None


def test_a_file_hidden_by_a_mount_is_not_told(disk_of: Disk) -> None:
    """What covers it is not entered: a look-up there might wait for ever."""
    point, mount = disk_of
    (point / "covered").mkdir()
    path = point / "covered/file"
    path.write_bytes(b"x")
    file = key(path)
    assert mount.find(*file) == Found(b"/covered/file", 1)
    subprocess.run(["mount", "-t", "tmpfs", "none", point / "covered"], check=True)
    try:
        assert mount.find(*file) is None
    finally:
        subprocess.run(["umount", point / "covered"], check=True)


def test_nothing_happens_to_the_file(disk_of: Disk) -> None:
    """Its times stay, and looking holds neither it nor the file system."""
    point, mount = disk_of
    path = point / "times"
    path.write_bytes(b"x")
    os.utime(path, ns=(1, 2))
    file, before = key(path), path.stat()
    for _ in range(100):
        assert mount.find(*file) == Found(b"/times", 1)
    after = path.stat()
    assert (after.st_atime_ns, after.st_mtime_ns, after.st_ctime_ns) == (
        1,
        2,
        before.st_ctime_ns,
    )


def test_a_file_nobody_looked_up_has_no_name(disk: Path) -> None:
    """After a remount the kernel knows no directory above it: no path, and not a wrong one."""
    with ExitStack() as stack:
        point = stack.enter_context(mounted("xfs", disk / "again"))
        (point / "below").mkdir()
        path = point / "below/file"
        path.write_bytes(b"x")
        file = key(path)
        subprocess.run(["umount", point], check=True)
        subprocess.run(["mount", disk / "again/image", point], check=True)
        with handles().opened(device_of(point)) as mount:
            assert mount is not None
            assert mount.find(*file) == Found(None, 1)
            path.stat()
            assert mount.find(*file) == Found(b"/below/file", 1)


def test_the_file_system_can_be_unmounted_between_looks(disk: Path) -> None:
    """No descriptor stays open; afterwards nothing is found, and nothing raises."""
    with mounted("ext4", disk / "short") as point:
        found = handles()
        device = device_of(point)
        with found.opened(device) as mount:
            assert mount is not None
    with found.opened(device) as mount:
        assert mount is None
