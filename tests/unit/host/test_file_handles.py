"""Of which mounts file handles are tried, and that nothing unproven is believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memtrace.host.file_handles import FileHandles
from memtrace.host.mounts import MountTable

EXT4, XFS, BOUND, BTRFS, TMPFS, BEHIND = (8 << 20 | minor for minor in range(1, 7))
LINES = """\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 8:2 / /data rw - xfs /dev/sda2 rw
3 1 8:3 /part /bound rw - ext4 /dev/sda3 rw
4 1 8:4 / /pool rw - btrfs /dev/sda4 rw
5 1 8:5 / /tmp rw - tmpfs none rw
6 1 0:50 / /net rw - nfs4 server:/ rw
7 6 8:6 / /net/disk rw - ext4 /dev/sda6 rw
"""


@pytest.fixture
def handles(tmp_path: Path) -> FileHandles:
    """Of a host with these mounts, whose directories are none of them."""
    mountinfo = tmp_path / "proc/1/mountinfo"
    mountinfo.parent.mkdir(parents=True)
    mountinfo.write_text(LINES)
    (tmp_path / "data").mkdir()
    table = MountTable(tmp_path)
    table.refresh()
    return FileHandles(tmp_path, table)


@pytest.mark.parametrize(
    ("device", "known"),
    [
        (EXT4, True),
        (XFS, True),
        (BOUND, False),  # only a part is mounted: the path to that part is not told
        (BTRFS, False),
        (TMPFS, False),
        (BEHIND, False),  # the way there may hang
        (99, False),
    ],
)
def test_file_systems_that_are_tried(handles: FileHandles, device: int, known: bool) -> None:
    """Those whose handles can be made, mounted as a whole, and not behind a server."""
    assert handles.knows(device) is known


@pytest.mark.parametrize("device", [EXT4, XFS, BEHIND, 99])
def test_a_directory_that_is_not_the_mount_is_not_believed(
    handles: FileHandles, device: int
) -> None:
    """Another device, another mount, or nothing there: no handles, and no descriptor left."""
    before = len(os.listdir("/proc/self/fd"))
    with handles.opened(device) as mount:
        assert mount is None
    assert len(os.listdir("/proc/self/fd")) == before


def test_mounts_that_come_are_seen(handles: FileHandles, tmp_path: Path) -> None:
    """As soon as the table of mounts is read again."""
    with (tmp_path / "proc/1/mountinfo").open("a") as lines:
        lines.write("8 1 8:9 / /late rw - ext3 /dev/sda9 rw\n")
    assert not handles.knows(8 << 20 | 9)
    handles._table.refresh()
    assert handles.knows(8 << 20 | 9)
