"""Mount tables and host paths."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.host.mounts import (
    Mount,
    MountTable,
    block_device_name,
    may_block,
    parse_mountinfo,
)
from tests.unit.host import trees

ROOT_DISK, DATA_DISK, LATE_DISK, POOL = 8 << 20 | 1, 8 << 20 | 16, 8 << 20 | 32, 51


@pytest.fixture
def table(tmp_path: Path) -> MountTable:
    """The mounts of a v2 host with a data disk, a bind mount and a btrfs pool."""
    trees.write(tmp_path, "proc/1/mountinfo", trees.text("mountinfo_v2.txt"))
    table = MountTable(tmp_path)
    assert table.refresh()
    return table


def test_a_line_has_its_fields_with_and_without_optional_ones() -> None:
    """proc_pid_mountinfo(5): zero or more optional fields end at a single dash."""
    line = (
        b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue"
    )
    expected = Mount(
        36, 35, 98, 0, "/mnt1", "/mnt2", "ext3", "/dev/root", "rw,noatime", "rw,errors=continue"
    )
    assert parse_mountinfo(line) == (expected,)
    assert parse_mountinfo(line.replace(b" master:1 shared:2", b"")) == (expected,)


def test_octal_escapes_are_undone(table: MountTable) -> None:
    """Blank, tab, newline and backslash come escaped; other bytes become surrogates."""
    assert "/mnt/with blank\\and\ttab" in [mount.point for mount in table.mounts]
    (mount,) = parse_mountinfo(b"1 1 0:1 / /\xff\\012 rw - tmpfs  rw")
    assert (mount.point, mount.source) == ("/\udcff\n", "")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"1 2 3",
        b"x 1 0:1 / / rw - a b c",
        b"1 1 01 / / rw - a b c",
        b"1 1 0:1 / / rw a b c",
        b"1 1 0:99999999999 / / rw - a b c",
    ],
)
def test_lines_that_make_no_sense_are_skipped(line: bytes) -> None:
    """The others are still used."""
    good = b"27 1 254:0 / / rw - ext4 /dev/vda rw"
    assert len(parse_mountinfo(line + b"\n" + good)) == 1


@given(st.binary(max_size=300))
def test_any_bytes_parse(data: bytes) -> None:
    """Noise is no mount."""
    for mount in parse_mountinfo(data):
        assert mount.device >= 0


@given(
    st.lists(
        st.sampled_from(
            [b" ", b" - ", b"1", b"8:1", b"/", b"/a", b"\\040", b"\\777", b"\xff", b"\n"]
        ),
        max_size=40,
    )
)
def test_pieces_of_mountinfo_in_any_order_parse(pieces: list[bytes]) -> None:
    """Nearly right lines do no harm either, nor do the paths they lead to."""
    parse_mountinfo(b"".join(pieces))


@pytest.mark.parametrize(
    ("device", "path", "expected"),
    [
        (ROOT_DISK, "/etc/passwd", "/etc/passwd"),
        (ROOT_DISK, "/", "/"),
        (DATA_DISK, "/base/16384", "/data/base/16384"),
        (DATA_DISK, "/", "/data"),
        (POOL, "/@home/ann/notes", "/home/ann/notes"),
        (POOL, "/@var/log", "/mnt/pool/@var/log"),
        (LATE_DISK, "/x", "/data/late/x"),
        (99, "/x", None),
        (ROOT_DISK, "relative", None),
        (ROOT_DISK, "", None),
    ],
)
def test_a_file_has_its_host_path(
    table: MountTable, device: int, path: str, expected: str | None
) -> None:
    """Through the mount that shows it."""
    assert table.host_path(device, path) == expected


def test_a_bind_mount_does_not_rename_the_file(table: MountTable) -> None:
    """Volumes are bind mounts of places that have shorter names."""
    assert table.host_path(DATA_DISK, "/pv/one/f") == "/data/pv/one/f"


def test_a_covered_place_is_not_chosen(tmp_path: Path) -> None:
    """A later mount on top hides it, and the bind mount elsewhere still shows it."""
    lines = (
        "1 0 8:1 / / rw - ext4 a rw\n"
        "2 1 8:1 /data /mnt/elsewhere rw - ext4 a rw\n"
        "3 1 8:2 / /data rw - ext4 b rw\n"
    )
    trees.write(tmp_path, "proc/self/mountinfo", lines)
    table = MountTable(tmp_path)
    table.refresh()
    assert table.host_path(ROOT_DISK, "/data/f") == "/mnt/elsewhere/f"
    assert table.host_path(ROOT_DISK, "/database/f") == "/database/f"


def test_a_covered_place_is_better_than_nothing(tmp_path: Path) -> None:
    """The path it had before is still the best name."""
    lines = "1 0 8:1 / / rw - ext4 a rw\n3 1 8:2 / /data rw - ext4 b rw\n"
    trees.write(tmp_path, "proc/self/mountinfo", lines)
    table = MountTable(tmp_path)
    table.refresh()
    assert table.host_path(ROOT_DISK, "/data/f") == "/data/f"


def test_refresh_says_whether_anything_changed(tmp_path: Path) -> None:
    """An unreadable table keeps the last good one."""
    path = trees.write(tmp_path, "proc/self/mountinfo", "1 0 8:1 / / rw - ext4 a rw\n")
    table = MountTable(tmp_path)
    assert [table.refresh(), table.refresh()] == [True, False]
    path.write_text("1 0 8:1 / /new rw - ext4 a rw\n")
    assert table.refresh()
    path.unlink()
    assert not table.refresh()
    assert table.host_path(ROOT_DISK, "/x") == "/new/x"


@given(st.text(max_size=40))
def test_any_path_maps_to_an_absolute_one(path: str) -> None:
    """Whatever a file is called."""
    table = MountTable(Path("/nonexistent"))
    assert table.host_path(1, path) is None


def test_a_block_device_has_its_node(tmp_path: Path) -> None:
    """By the link in /sys/dev/block; "!" stands for a slash."""
    links = tmp_path / "sys/dev/block"
    links.mkdir(parents=True)
    (links / "254:1").symlink_to("../../devices/pci0/virtio1/block/vda/vda1")
    (links / "104:0").symlink_to("../../devices/pci0/block/cciss!c0d0")
    assert block_device_name(tmp_path, 254 << 20 | 1) == "/dev/vda1"
    assert block_device_name(tmp_path, 104 << 20) == "/dev/cciss/c0d0"
    assert block_device_name(tmp_path, 7) is None


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/etc/passwd", (ROOT_DISK, "/etc/passwd")),
        ("/data/base/1", (DATA_DISK, "/base/1")),
        ("/var/lib/kubelet/pods/3c1f/volumes/local/one/f", (DATA_DISK, "/pv/one/f")),
        ("/home/ann", (POOL, "/@home/ann")),
        ("/", (ROOT_DISK, "/")),
        ("relative", None),
    ],
)
def test_a_path_has_its_place(table: MountTable, path: str, place: tuple[int, str] | None) -> None:
    """The device seen there, and the path from the root of its file system."""
    assert table.index.locate(path) == place


def test_options_of_the_file_system_keep_their_escapes() -> None:
    """A comma inside a value is told from one between values."""
    (mount,) = parse_mountinfo(b"1 1 0:1 / / rw - overlay o rw,lowerdir=/a\\054b,x")
    assert mount.super_options.split(",") == ["rw", r"lowerdir=/a\054b", "x"]


@pytest.mark.parametrize(
    ("fstype", "path", "expected"),
    [
        ("fuse.sshfs", "/home/ann/x", True),
        ("nfs4", "/home", True),
        ("autofs", "/home/ann", True),
        ("nfs4", "/homely", False),
        ("nfs4", "/", False),
        ("ext4", "/home/ann", False),
    ],
)
def test_what_may_have_to_wait_for_others_is_known(fstype: str, path: str, expected: bool) -> None:
    """Anything at or below a file system of another process or machine."""
    mounts = parse_mountinfo(f"30 20 0:5 / /home rw - {fstype} x rw\n".encode())
    assert may_block(mounts, path) is expected
