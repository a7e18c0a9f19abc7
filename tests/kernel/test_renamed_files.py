"""Files renamed or removed after they were written have the name they have, seconds later."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.harness.expect import same_file
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import Memtrace, Row
from tests.kernel.harness.mounted import mounted
from tests.kernel.harness.room import Room, Rooms
from tests.kernel.harness.workloads import Workloads

PAGES = 67
ATTEMPTS, TAKEN = 20, 50
SECONDS = {"ext4": 5.0, "xfs": 5.0, "overlay": 5.0, "tmpfs": 80.0}
"""Two samples, 2 seconds apart; tmpfs waits for a walk, at worst the one a minute."""
NAMES = {
    "plain": b"out",
    "across": b"below/it/out",
    "newline": b"two\nlines",
    "not-utf8": b"caf\xe9",
    "looks-deleted": b"file (deleted)",
    "longest": b"n" * 255,
}


@dataclass(frozen=True)
class Scene:
    """A room on a file system, what memtrace says of it, and the layer below an overlay."""

    kind: str
    room: Room
    memtrace: Memtrace
    lower: Path

    def write(self, name: str, pages: int = PAGES) -> Path:
        """Have a file written in the room."""
        path = self.room.path(name)
        self.room.run("write", path, pages, PAGE)
        return path

    def host(self, path: Path) -> str:
        """The path of the file that the kernel means, as JSON shows it."""
        point = self.lower.parent / "mnt"
        if self.kind == "overlay":
            path = self.lower.parent / "upper" / path.relative_to(point)
        return os.fsencode(path).decode("utf-8", "backslashreplace")

    def wait(self, true: Callable[[Row], object]) -> Row:
        """The room's row as soon as something is true of it, or the last one in time."""
        deadline = time.time() + SECONDS[self.kind]
        while True:
            snapshot = self.memtrace.next()
            row = snapshot.row(self.room.cgroup.path)
            if true(row) or snapshot["time"] + self.memtrace.interval > deadline:
                return row


@pytest.fixture(scope="module", params=SECONDS)
def scene(request: pytest.FixtureRequest, disk: Path, workloads: Workloads) -> Iterator[Scene]:
    """A new file system of every kind."""
    kind = request.param
    with ExitStack() as stack:
        point = stack.enter_context(mounted(kind, disk / kind))
        memtrace = stack.enter_context(Memtrace(interval=2.0))
        memtrace.first()
        rooms = stack.enter_context(Rooms(point, workloads))
        yield Scene(kind, rooms.open("renamed"), memtrace, point.parent / "lower")


def test_renamed_files_have_their_new_names(scene: Scene) -> None:
    """Whatever the name, and in another directory, too; nothing is shown under the old one."""
    paths = {label: scene.room.path(os.fsdecode(name)) for label, name in NAMES.items()}
    for label, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        scene.write(f"{label}.tmp").rename(path)
    wanted = {scene.host(path) for path in paths.values()}
    row = scene.wait(lambda row: wanted <= {entry["path"] for entry in row["files"]})
    shown = {entry["path"]: entry for entry in row["files"]}
    assert wanted <= shown.keys()
    assert not [path for path in shown if path.endswith(".tmp")]
    assert {(shown[p]["deleted"], shown[p]["resident_bytes"]) for p in wanted} == {
        (False, PAGES * PAGE)
    }
    assert wanted <= {entry["path"] for entry in row["drivers"]}


def test_a_file_unlinked_while_open_is_deleted(scene: Scene) -> None:
    """It keeps its last name, although it was written under another one."""
    if scene.kind == "tmpfs":
        return  # one wait for the minute's walk is enough
    path = scene.room.path("gone")
    written = scene.write("gone.tmp")
    with written.open("rb"):
        written.rename(path)
        path.unlink()
        name = scene.host(path)
        row = scene.wait(lambda row: row.files(path=name, deleted=True))
        (entry,) = row.files(path=name)
        assert (entry["deleted"], entry["resident_bytes"]) == (True, PAGES * PAGE)


def test_one_of_two_names_removed(scene: Scene) -> None:
    """A file that keeps another name is not deleted, and is called by that one."""
    if scene.kind == "tmpfs":
        return  # the walk takes the name it meets first
    path, kept = scene.write("first-name"), scene.room.path("second-name")
    with path.open("rb"):
        kept.hardlink_to(path)
        path.unlink()
        row = scene.wait(lambda row: row.files(path=scene.host(kept)))
        (entry,) = row.files(path=scene.host(kept))
        assert entry["deleted"] is False


def test_an_inode_number_used_again(scene: Scene) -> None:
    """The file that has the number now has its own name; the one before is not it."""
    if scene.kind == "tmpfs":
        return  # never uses one again
    before, path = _again(scene)
    after = path.rename(scene.room.path("after"))
    name = scene.host(after)
    row = scene.wait(lambda row: row.files(path=name))
    (entry,) = row.files(path=name)
    assert (entry["deleted"], entry["resident_bytes"]) == (False, 3 * PAGE)
    assert [entry for entry in row.files(path=scene.host(before)) if not entry["deleted"]] == []


def _again(scene: Scene) -> tuple[Path, Path]:
    """A file that was removed, and one that has its number; others on the disk want it, too."""
    for attempt in range(ATTEMPTS):
        before = scene.write(f"before-{attempt}")
        inode = before.stat().st_ino
        before.unlink()
        for number in range(TAKEN):
            path = scene.write(f"after-{attempt}-{number}.tmp", 3)
            if path.stat().st_ino == inode:
                return before, path
            path.unlink()
    raise AssertionError("no inode number was used again")


def test_a_file_copied_up_has_its_name(scene: Scene) -> None:
    """An overlay makes the copy under a temporary name, or none."""
    if scene.kind != "overlay":
        return
    image = scene.lower / "image-file"
    image.write_bytes(b"i" * PAGES * PAGE)
    path = scene.room.directory.parent / "image-file"
    scene.room.run("write", path, 5, PAGE)
    assert path.stat().st_size == (PAGES + 5) * PAGE
    name = scene.host(path)
    row = scene.wait(lambda row: row.files(path=name))
    (entry,) = row.files(path=name)
    assert (entry["deleted"], entry["resident_bytes"]) == (False, (PAGES + 5) * PAGE)
    assert same_file(entry, name)
