"""A real container: its name, its image and its page cache, to the page."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.harness.cgroup import ExistingCgroup
from tests.kernel.harness.containerd import IMAGE, NAMESPACE, Containerd
from tests.kernel.harness.expect import assert_exact
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import Memtrace, Row
from tests.kernel.harness.quiet import Quiet
from tests.kernel.harness.room import Rooms
from tests.outcomes import unavailable

PAGES = 2503
ROOT_PAGES = 1009
NAME = "page-writer"
CGROUP = f"/{NAMESPACE}/{NAME}"


@dataclass(frozen=True)
class Scene:
    """The containerd of this module and what memtrace says about our container."""

    containerd: Containerd
    snapshot: Quiet
    data: Path

    @property
    def row(self) -> Row:
        """Our container's row."""
        return self.snapshot.row(CGROUP)


@pytest.fixture(scope="module")
def scene(memtrace: Memtrace, rooms: Rooms, disk: Path) -> Iterator[Scene]:
    """A container that wrote into a volume and into its own root, and sleeps."""
    for program in ("containerd", "ctr", "runc", "busybox"):
        if not shutil.which(program):
            unavailable(f"{program} is not installed")
    data = disk / "volume"
    data.mkdir()
    writes = f"dd if=/dev/zero of=/data/out bs=4096 count={PAGES}; "
    writes += f"dd if=/dev/zero of=/inside bs=4096 count={ROOT_PAGES}; echo > /data/done; sleep 600"
    with Containerd(disk) as containerd:
        containerd.run(NAME, data, "/bin/sh", "-c", writes)
        _wait_for(data / "done")
        yield Scene(containerd, rooms.settle(memtrace, ExistingCgroup(CGROUP)), data)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


def test_container_has_its_names(scene: Scene) -> None:
    """Runtime, namespace, container and image are the ones containerd was given."""
    row = scene.row
    assert row["kind"] == "container"
    assert row["runtime"] == "containerd"
    assert row["container"] == NAME
    assert NAME in row["name"]
    assert row["image"] in (IMAGE, None)
    assert row["state"] == "running"


def test_container_is_exact(scene: Scene) -> None:
    """What is attributed to the container is what memory.stat says, to the page."""
    assert_exact(scene.snapshot, ExistingCgroup(CGROUP))


def test_volume_write_has_its_host_path(scene: Scene) -> None:
    """A write into a volume is driven by dd, at the volume's path on the host."""
    (driver,) = scene.row.drivers(path=str(scene.data / "out"), kind="write")
    assert (driver["comm"], driver["added_bytes"]) == ("dd", PAGES * PAGE)


def test_root_write_is_found_in_the_snapshot(scene: Scene) -> None:
    """A write into the container's own root shows at the underlying file of the snapshot."""
    rows = [
        entry for entry in scene.row.drivers(kind="write") if "/inside" in (entry["path"] or "")
    ]
    assert [(entry["comm"], entry["added_bytes"]) for entry in rows] == [("dd", ROOT_PAGES * PAGE)]


def test_container_paths_are_the_containers_own(scene: Scene) -> None:
    """In a volume and in its own root, the container's own name stands beside the host's."""
    volume = scene.row.drivers(path=str(scene.data / "out"), kind="write")
    inside = [entry for entry in scene.row.drivers(kind="write") if "/inside" in entry["path"]]
    assert {entry["container_path"] for entry in volume} == {"/data/out"}
    assert {entry["container_path"] for entry in inside} == {"/inside"}


def test_removed_container_keeps_its_name(memtrace: Memtrace, scene: Scene) -> None:
    """After the container is deleted its pages in the volume are still shown under its name."""
    scene.containerd.kill(NAME)
    row = memtrace.settle().row(CGROUP)
    assert row["state"] == "removed"
    assert (row["runtime"], row["container"]) == ("containerd", NAME)
    assert row.attributed >= PAGES * PAGE
