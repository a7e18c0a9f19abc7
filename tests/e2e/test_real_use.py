"""Beside things people really do: what memtrace says happened is what happened."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.apt import PACKAGE, served, write_repository, write_root
from tests.kernel.harness.containerd import Containerd
from tests.kernel.harness.expect import assert_exact, same_file
from tests.kernel.harness.files import PAGE, cached_pages
from tests.kernel.harness.memtrace import Memtrace, Row
from tests.kernel.harness.quiet import Quiet
from tests.kernel.harness.room import Room, Rooms
from tests.outcomes import unavailable

BIG_BYTES = 1009 * PAGE + 77
FILES = 5
# New names are looked for within a thousandth of a CPU's time: after seconds when the machine is
# quiet, after a minute or two when files are written all the time.
RENAMED_SECONDS = 180.0
pytestmark = pytest.mark.timeout(RENAMED_SECONDS + 120)


Results = dict[Path, str]
"""Files a program left, each with the name of the process that wrote it."""


@dataclass(frozen=True)
class Done:
    """What a program did: the row memtrace shows, and what it left."""

    quiet: Quiet
    row: Row
    results: Results


def _incompressible(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(BIG_BYTES))
    return path


def _run(room: Room, *command: str | os.PathLike[str]) -> None:
    room.cgroup.run(*command)


def git_clone(room: Room) -> Results:
    """`git clone` of a local repository with a few large files."""
    source, target = room.path("source"), room.path("clone")
    for number in range(FILES):
        _incompressible(source / f"blob-{number}")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "blobs"]):
        subprocess.run(["git", "-C", source, *arguments], check=True)
    _run(room, "git", "clone", "-q", f"file://{source}", target)
    return dict.fromkeys([*target.glob("blob-*"), *target.glob(".git/objects/pack/*.pack")], "git")


def pip_install(room: Room) -> Results:
    """`pip install` of a local wheel with one large file."""
    data = _incompressible(room.path("data"))
    wheel, target = room.path("big-1.0-py3-none-any.whl"), room.path("target")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(data, "big/data.bin")
        archive.writestr(
            "big-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: big\nVersion: 1.0\n"
        )
        archive.writestr("big-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("big-1.0.dist-info/RECORD", "")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-index",
        "--no-deps",
        "--no-cache-dir",
    ]
    # On another file system than the target, pip's temporary files would be copied by sendfile.
    _run(room, "env", f"TMPDIR={room.directory}", *pip, "--target", target, wheel)
    return {target / "big" / "data.bin": "python"}


def apt_get_install(room: Room) -> Results:
    """`apt-get install` of a package with one large file, over http, into a root of its own."""
    tree, repository, root = room.path("tree"), room.path("repository"), room.path("root")
    _incompressible(tree / "opt" / "big" / "data.bin")
    write_repository(tree, repository)
    with served(repository) as address:
        apt = ["env", f"APT_CONFIG={write_root(root, address)}", "apt-get", "-qq"]
        _run(room, *apt, "update")
        _run(room, *apt, "install", "--yes", PACKAGE)
    cache = root / "var/cache/apt"
    return {
        root / "opt" / "big" / "data.bin": "dpkg",
        cache / "archives" / f"{PACKAGE}_1_all.deb": "http",
        cache / "pkgcache.bin": "apt-get",
    }


PROGRAMS = {"git": git_clone, "pip": pip_install, "apt-get": apt_get_install}


def _wait_for_names(memtrace: Memtrace, outcomes: Iterable[tuple[Room, Results]]) -> None:
    """Wait until every result is shown under its name, or no longer."""
    deadline = time.monotonic() + RENAMED_SECONDS
    while time.monotonic() < deadline:
        snapshot = memtrace.next()
        if all(
            snapshot.row(room.cgroup.path).files(path=str(path))
            for room, results in outcomes
            for path in results
        ):
            return


@pytest.fixture(scope="module")
def done(memtrace: Memtrace, rooms: Rooms) -> dict[str, Done]:
    """Every program run in a cgroup of its own, and what memtrace says when all is quiet."""
    for program in ("git", "apt-get"):
        if not shutil.which(program):
            unavailable(f"{program} is not installed")
    outcomes = rooms.act_all(PROGRAMS)
    _wait_for_names(memtrace, outcomes.values())
    quiet = rooms.settle(memtrace)
    return {
        name: Done(quiet, assert_exact(quiet, room.cgroup), results)
        for name, (room, results) in outcomes.items()
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_cached_of_each_result(done: dict[str, Done], name: str) -> None:
    """Each file the program left shows as resident what cachestat says."""
    assert done[name].results
    for path in done[name].results:
        rows = done[name].row.files(path=str(path))
        assert [row["resident_bytes"] for row in rows] == [done[name].quiet.cached(path) * PAGE]


@pytest.mark.parametrize("name", PROGRAMS)
def test_who_wrote_each_result(done: dict[str, Done], name: str) -> None:
    """Each file was written by the process that wrote it, every page of it."""
    for path, comm in done[name].results.items():
        drivers = done[name].row.drivers(path=str(path))
        assert all(same_file(row, path) for row in drivers)
        assert {row["kind"] for row in drivers} == {"write"}
        assert all(row["comm"].startswith(comm) for row in drivers), drivers
        added = sum(row["added_bytes"] for row in drivers)
        assert added >= done[name].quiet.cached(path) * PAGE


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_result_goes_by_its_final_name(done: dict[str, Done], name: str) -> None:
    """Programs write under a temporary name and rename: the file's name now is what is shown."""
    for path in done[name].results:
        rows = [row for row in done[name].row["files"] if same_file(row, path)]
        # A temporary file that is gone may have had the same inode number before.
        assert {row["path"] for row in rows if row["resident_bytes"]} == {str(path)}


def test_image_import_is_charged_to_containerd(
    memtrace: Memtrace, rooms: Rooms, disk: Path
) -> None:
    """Importing and unpacking an image: the layer's files are in the cache of containerd."""
    for program in ("containerd", "ctr"):
        if not shutil.which(program):
            unavailable(f"{program} is not installed")
    cgroup = rooms.open("containerd").cgroup
    with Containerd(disk, cgroup) as containerd:
        if not containerd.is_ours:
            unavailable("a containerd runs here already, in a cgroup of its own")
        layers = list(disk.glob("root/io.containerd.snapshotter.v1.*/snapshots/*/fs/bin/busybox"))
        if not layers:
            unavailable("this containerd keeps its layers elsewhere")
        row = assert_exact(rooms.settle(memtrace), cgroup)
        (layer,) = layers
        # By path: containerd's temporary files may have had the layer's inode number before it.
        drivers = row.drivers(path=str(layer))
        assert all(same_file(driver, layer) for driver in drivers)
        assert {driver["comm"] for driver in drivers} == {"containerd"}
        assert {driver["kind"] for driver in drivers} == {"write"}
        assert sum(driver["added_bytes"] for driver in drivers) == cached_pages(layer) * PAGE
