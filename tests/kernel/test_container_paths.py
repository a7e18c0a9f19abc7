"""A container's files have the names that the container itself uses, in every kind of mount."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.harness.cgroup import ROOT, Cgroup
from tests.kernel.harness.containerd import NAMESPACE, Containerd
from tests.kernel.harness.expect import assert_exact
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.inside import (
    COPIED,
    SCRIPT,
    USES,
    VOLUME,
    assert_use,
    prepare,
    use,
)
from tests.kernel.harness.memtrace import Memtrace, Row
from tests.kernel.harness.quiet import Quiet
from tests.kernel.harness.room import Room, Rooms
from tests.outcomes import unavailable

NAME = "path-user"
CGROUP = f"/{NAMESPACE}/{NAME}"
OUTSIDE = 307
GONE_FILE = "/gone"
LAYERS = 61
"""More than fit into mount(2)'s one page of options: containerd shortens their names."""


class _Existing(Cgroup):
    """The figures of a cgroup that somebody else made."""

    def __init__(self, path: str) -> None:
        """Look at `path` inside the memory hierarchy."""
        self.directory = ROOT / path.lstrip("/")


@dataclass(frozen=True)
class Scene:
    """The containerd of this module, what memtrace says, and a room outside of containers."""

    containerd: Containerd
    snapshot: Quiet
    volume: Path
    outside: Room


@pytest.fixture(scope="module")
def scene(memtrace: Memtrace, rooms: Rooms, disk: Path) -> Iterator[Scene]:
    """A container that used every kind of file, and sleeps; beside it a plain cgroup."""
    for program in ("containerd", "ctr", "runc", "busybox"):
        if not shutil.which(program):
            unavailable(f"{program} is not installed")
    volume, single = disk / "volume", disk / "single"
    prepare(volume, single)
    mounts = [
        f"type=bind,src={single},dst=/etc/single,options=bind:rw",
        "type=tmpfs,src=tmpfs,dst=/scratch,options=rw",
    ]
    outside = rooms.open("outside")
    with Containerd(disk, layers=LAYERS) as containerd:
        containerd.run(NAME, volume, "/bin/sh", "-c", SCRIPT, mounts=mounts)
        use(containerd.pid(NAME), volume)
        outside.run("write", outside.path("out"), OUTSIDE, PAGE)
        yield Scene(containerd, rooms.settle(memtrace, _Existing(CGROUP)), volume, outside)


@pytest.mark.parametrize("path", USES.keys() - {COPIED})
def test_files_have_the_containers_names(scene: Scene, path: str) -> None:
    """Image, new, deleted, volume, bound file and tmpfs: as the container calls them."""
    row = scene.snapshot.row(CGROUP)
    assert_use(row, path)
    assert row.driven(container_path=path) >= USES[path] * PAGE


def test_a_file_copied_up_has_its_own_name(memtrace: Memtrace, scene: Scene) -> None:
    """Beside the one of the image: the temporary name of the copy is gone a few seconds later."""
    assert scene.snapshot
    row = memtrace.settle().row(CGROUP)
    assert [entry["deleted"] for entry in row.files(container_path=COPIED)] == [False, False]


def test_a_file_removed_while_open_is_deleted(scene: Scene) -> None:
    """And none of the others is."""
    row = scene.snapshot.row(CGROUP)
    paths = USES.keys() - {COPIED}
    shown = {path: {entry["deleted"] for entry in row.files(container_path=path)} for path in paths}
    assert shown == {path: {path == GONE_FILE} for path in paths}


def test_names_of_layers_are_shortened(scene: Scene) -> None:
    """All this holds for lower layers whose names are relative to a directory not told."""
    mountinfo = Path(f"/proc/{scene.containerd.pid(NAME)}/mountinfo").read_text()
    (options,) = [line for line in mountinfo.splitlines() if " / / " in line]
    assert "lowerdir=/" not in options


def test_container_is_exact(scene: Scene) -> None:
    """All of it is what memory.stat says, to the page."""
    assert_exact(scene.snapshot, _Existing(CGROUP))


def test_host_path_stays_beside_it(scene: Scene) -> None:
    """`path` is still where the host finds the file."""
    row = scene.snapshot.row(CGROUP)
    (entry,) = row.files(container_path="/data/below/out")
    assert entry["path"] == str(scene.volume / "below/out")
    assert entry["resident_bytes"] == VOLUME * PAGE


def test_payer_is_named(scene: Scene) -> None:
    """In the rows of the container and of all above it, the container is who pays."""
    path = str(scene.volume / "below/out")
    for cgroup in (CGROUP, f"/{NAMESPACE}"):
        (entry,) = scene.snapshot.row(cgroup).files(path=path)
        assert (entry["charged_to"], entry["container_path"]) == (CGROUP, "/data/below/out")


def test_plain_cgroup_has_host_paths_only(scene: Scene) -> None:
    """Outside of containers there is one name for a file."""
    row = scene.snapshot.row(scene.outside.cgroup.path)
    (entry,) = row.files(path=str(scene.outside.path("out")))
    assert entry["container_path"] is None
    assert entry["charged_to"] == scene.outside.cgroup.path


@pytest.fixture(scope="module")
def later(scene: Scene, rooms: Rooms) -> Row:
    """What an agent says that was started after all that."""
    assert scene.snapshot
    with Memtrace() as memtrace:
        return rooms.settle(memtrace).row(CGROUP)


@pytest.mark.parametrize("path", USES)
def test_agent_that_comes_later_finds_the_names(later: Row, path: str) -> None:
    """What was cached before the start, files changed in the container included."""
    entries = later.files(container_path=path)
    assert len(entries) == (2 if path == COPIED else 1)
    assert 0 < sum(entry["baseline_bytes"] for entry in entries) <= USES[path] * PAGE


def test_no_file_of_the_container_lacks_a_name_inside(later: Row) -> None:
    """Whatever has a path on the host has one in the container; disks are the host's own."""
    files = [entry for entry in later["files"] if entry["inode"] and entry["path"]]
    assert [entry["path"] for entry in files if entry["container_path"] is None] == []


def test_removed_container_keeps_its_names(memtrace: Memtrace, scene: Scene) -> None:
    """After the container is deleted, what it left in the cache is still called as before."""
    scene.containerd.kill(NAME)
    row = memtrace.settle().row(CGROUP)
    assert row["state"] == "removed"
    (entry,) = row.files(container_path="/data/below/out")
    assert entry["path"] == str(scene.volume / "below/out")
