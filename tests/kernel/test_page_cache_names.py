"""Any name a file may have is shown as it is in JSON and cannot break the screen."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.kernel.harness.expect import assert_exact, same_file
from tests.kernel.harness.files import PAGE, disk_directory
from tests.kernel.harness.memtrace import PROGRAM, Memtrace, Row
from tests.kernel.harness.room import Rooms

PAGES = 211
DEPTH = 23

NAMES: dict[str, bytes] = {
    "newline": b"two\nlines",
    "escape": b"\x1b[31mred\x1b]0;title\x07",
    "not-utf8": b"caf\xe9-\xff\xfe",
    "quotes": b"a\"b\\c'd\te",
    "unicode": "ünï-文件-😀".encode(),
    "bidi": "a\u202eb\u2066c".encode(),
    "longest": b"n" * 255,
    "spaces": b"  ",
    "looks-deleted": b"file (deleted)",
    "arrow": b"a -> b",
}


@pytest.fixture(scope="module")
def rows(memtrace: Memtrace, rooms: Rooms) -> dict[str, tuple[Row, Path]]:
    """One file of each name, written by a cgroup of its own."""
    written = {}
    for label, name in NAMES.items():
        room = rooms.open(label)
        path = room.path(os.fsdecode(name))
        room.cgroup.run(room.workloads["write"], path, str(PAGES), "4096")
        written[label] = (room.cgroup, path)
    snapshot = rooms.settle(memtrace)
    return {
        label: (assert_exact(snapshot, group), path) for label, (group, path) in written.items()
    }


@pytest.mark.parametrize("label", NAMES)
def test_json_has_the_name_byte_for_byte(rows: dict[str, tuple[Row, Path]], label: str) -> None:
    """The path in JSON is the file's name; bytes that are no UTF-8 are shown as \\xNN."""
    row, path = rows[label]
    name = os.fsencode(path).decode("utf-8", "backslashreplace")
    assert row.driven(path=name, kind="write") == PAGES * PAGE
    assert [entry["deleted"] for entry in row.files(path=name)] == [False]


def test_plain_output_is_safe_to_print(rows: dict[str, tuple[Row, Path]]) -> None:
    """No control byte of a file name reaches the terminal, and every line is a row."""
    command = [PROGRAM, "top", "--plain", "--rows", "1000", "1", "1"]
    shown = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    text = shown.decode("utf-8")
    assert not [char for char in text if not char.isprintable() and char != "\n"]
    assert not [line for line in text.splitlines() if line.startswith("lines")]


def test_path_longer_than_any_buffer(memtrace: Memtrace, rooms: Rooms) -> None:
    """A path of more than 4,096 bytes: the amounts are exact and the name is never a wrong one."""
    room = rooms.open("deep")
    with disk_directory() as top:
        file = _write_deep(top, room.cgroup.directory / "cgroup.procs")
        row = assert_exact(rooms.settle(memtrace), room.cgroup)
        (driver,) = [entry for entry in row["drivers"] if entry["inode"] == file.st_ino]
        assert driver["added_bytes"] == PAGES * PAGE
        shown = driver["path"]
        assert shown is None or shown.endswith("/last")


def test_path_longer_than_one_kilobyte(memtrace: Memtrace, rooms: Rooms) -> None:
    """A path of more than 1,024 bytes in few steps is shown whole, or at least by its end."""
    room = rooms.open("long")
    directory = room.path("d" * 200 + "/" + "e" * 201 + "/" + "f" * 202 + "/" + "g" * 203)
    directory.mkdir(parents=True)
    path = directory / ("h" * 251 + "last")
    room.run("write", path, PAGES, PAGE)
    row = assert_exact(rooms.settle(memtrace), room.cgroup)
    (driver,) = [entry for entry in row["drivers"] if same_file(entry, path)]
    assert driver["added_bytes"] == PAGES * PAGE
    assert driver["path"] == str(path) or str(path).endswith(driver["path"].lstrip(".…/"))


def _write_deep(top: Path, procs: Path) -> os.stat_result:
    """Write `last` below DEPTH directories of 200 bytes, in the cgroup; return its status."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        procs.write_text("0")
        os.chdir(top)
        for level in range(DEPTH):
            name = f"{level:03}" + "x" * 197
            os.mkdir(name)
            os.chdir(name)
        with open("last", "wb", buffering=0) as file:
            for _ in range(PAGES):
                file.write(b"m" * PAGE)
            os.write(writer, b"%d" % os.fstat(file.fileno()).st_ino)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    inode = int(os.read(reader, 32))
    os.close(reader)
    return os.stat_result((0, inode, 0, 0, 0, 0, 0, 0, 0, 0))
