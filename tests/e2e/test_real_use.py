"""Beside things people really do: what memtrace says happened is what happened."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.harness.containerd import Containerd
from tests.kernel.harness.expect import assert_exact, same_file
from tests.kernel.harness.files import PAGE, cached_pages
from tests.kernel.harness.memtrace import Memtrace, Row
from tests.kernel.harness.quiet import Quiet
from tests.kernel.harness.room import Room, Rooms
from tests.outcomes import unavailable

BIG_BYTES = 1009 * PAGE + 77
FILES = 5
RENAMED_SECONDS = 25.0  # names of shown files are looked at again within about ten


@dataclass(frozen=True)
class Done:
    """What a program did: the row memtrace shows, and the large files it left."""

    quiet: Quiet
    row: Row
    results: list[Path]
    comm: str


def _incompressible(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(BIG_BYTES))
    return path


def _run(room: Room, *command: str | os.PathLike[str]) -> None:
    room.cgroup.run(*command)


def git_clone(room: Room) -> tuple[list[Path], str]:
    """`git clone` of a local repository with a few large files."""
    source, target = room.path("source"), room.path("clone")
    for number in range(FILES):
        _incompressible(source / f"blob-{number}")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "blobs"]):
        subprocess.run(["git", "-C", source, *arguments], check=True)
    _run(room, "git", "clone", "-q", f"file://{source}", target)
    return [*target.glob("blob-*"), *target.glob(".git/objects/pack/*.pack")], "git"


def pip_install(room: Room) -> tuple[list[Path], str]:
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
    _run(room, *pip, "--target", target, wheel)
    return [target / "big" / "data.bin"], "python"


def dpkg_install(room: Room) -> tuple[list[Path], str]:
    """`dpkg --install` of a package with one large file, into a root of its own."""
    tree, root = room.path("tree"), room.path("root")
    _incompressible(tree / "opt" / "big" / "data.bin")
    control = tree / "DEBIAN" / "control"
    control.parent.mkdir()
    control.write_text(
        "Package: memtrace-test-big\nVersion: 1\nArchitecture: all\n"
        "Maintainer: nobody <nobody@example.org>\nDescription: one large file\n"
    )
    package = room.path("big.deb")
    subprocess.run(
        ["dpkg-deb", "-Znone", "--build", tree, package], check=True, capture_output=True
    )
    for name in ("info", "updates", "triggers"):
        (root / "var/lib/dpkg" / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    _run(
        room, "dpkg", f"--root={root}", "--force-not-root", "--log=/dev/null", "--install", package
    )
    return [root / "opt" / "big" / "data.bin"], "dpkg"


PROGRAMS = {"git": git_clone, "pip": pip_install, "dpkg": dpkg_install}


@pytest.fixture(scope="module")
def done(memtrace: Memtrace, rooms: Rooms) -> dict[str, Done]:
    """Every program run in a cgroup of its own, and what memtrace says when all is quiet."""
    for program in ("git", "dpkg-deb"):
        if not shutil.which(program):
            unavailable(f"{program} is not installed")
    outcomes = rooms.act_all(PROGRAMS)
    time.sleep(RENAMED_SECONDS)
    quiet = rooms.settle(memtrace)
    return {
        name: Done(quiet, assert_exact(quiet, room.cgroup), results, comm)
        for name, (room, (results, comm)) in outcomes.items()
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_cached_of_each_result(done: dict[str, Done], name: str) -> None:
    """Each large file the program left shows as resident what cachestat says."""
    assert done[name].results
    for path in done[name].results:
        rows = [row for row in done[name].row["files"] if same_file(row, path)]
        assert [row["resident_bytes"] for row in rows] == [done[name].quiet.cached(path) * PAGE]


@pytest.mark.parametrize("name", PROGRAMS)
def test_who_wrote_each_result(done: dict[str, Done], name: str) -> None:
    """Each large file was written by the program that wrote it, every page of it."""
    for path in done[name].results:
        drivers = [row for row in done[name].row["drivers"] if same_file(row, path)]
        assert {row["kind"] for row in drivers} == {"write"}
        assert all(row["comm"].startswith(done[name].comm) for row in drivers), drivers
        added = sum(row["added_bytes"] for row in drivers)
        assert added >= done[name].quiet.cached(path) * PAGE


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_result_goes_by_its_final_name(done: dict[str, Done], name: str) -> None:
    """Programs write under a temporary name and rename: the file's name now is what is shown."""
    for path in done[name].results:
        shown = {row["path"] for row in done[name].row["files"] if same_file(row, path)}
        assert shown == {str(path)}


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
        drivers = [driver for driver in row["drivers"] if same_file(driver, layer)]
        assert {driver["comm"] for driver in drivers} == {"containerd"}
        assert {driver["kind"] for driver in drivers} == {"write"}
        assert {driver["path"] for driver in drivers} == {str(layer)}
        assert sum(driver["added_bytes"] for driver in drivers) == cached_pages(layer) * PAGE
