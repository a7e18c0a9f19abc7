"""docker, podman and containerd at once: whose page cache it is, also after removal and restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.runtimes import Docker, Podman, needed
from tests.kernel.harness.cgroup import ExistingCgroup
from tests.kernel.harness.containerd import NAMESPACE, Containerd
from tests.kernel.harness.expect import assert_exact
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import Memtrace, Row, Snapshot
from tests.kernel.harness.quiet import Quiet, settle

PAGES = 2503
INSIDE_PAGES = 307
SHORT_PAGES = 211
RUNTIMES = ("docker", "podman", "containerd")
IMAGES = {"docker": Docker.image, "podman": Podman.image, "containerd": None}  # ctr notes none
SHORT = tuple(f"short-{runtime}" for runtime in ("docker", "podman"))


@dataclass(frozen=True)
class Scene:
    """What memtrace said: all running, all removed, and by another memtrace after that."""

    cgroups: dict[str, str]
    volumes: dict[str, Path]
    insides: dict[str, Path]
    running: Quiet
    removed: Quiet
    restarted: Quiet
    freed: Snapshot


def _writes(path: Path | str, pages: int, then: str = "") -> tuple[str, ...]:
    done = f"{Path(path).parent}/done"
    command = f"dd if=/dev/zero of={path} bs=4096 count={pages}; echo > {done}; {then}"
    return ("/bin/sh", "-c", command)


def _wait_for(found: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not found():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.05)


def _upper(cgroup: str) -> Path:
    """Where the files a container writes to its own root are on the host (proc(5), mountinfo)."""
    process = (ExistingCgroup(cgroup).directory / "cgroup.procs").read_text().split()[0]
    mounts = Path(f"/proc/{process}/mountinfo").read_text().splitlines()
    (root,) = [line for line in mounts if line.split()[4] == "/"]
    options = dict(each.partition("=")[::2] for each in root.split()[-1].split(","))
    return Path(options["upperdir"]).resolve()


@pytest.fixture(scope="module")
def scene(disk: Path) -> Iterator[Scene]:
    """One container each that writes to its volume and sleeps, and two short ones."""
    needed("dockerd", "docker", "podman", "conmon", "containerd", "ctr", "runc", "busybox")
    volumes = {name: disk / name for name in ("docker", "podman", "containerd", *SHORT)}
    for volume in volumes.values():
        volume.mkdir()
    state = ("--state-dir", str(disk / "state"))
    with ExitStack() as stack:
        first = stack.enter_context(Memtrace(*state))
        first.first()
        (disk / "ctr").mkdir()
        containerd = stack.enter_context(Containerd(disk / "ctr"))
        docker = stack.enter_context(Docker(disk / "dockerd", containerd.socket))
        podman = stack.enter_context(Podman(disk / "podmand"))
        cgroups = _start(containerd, docker, podman, volumes)
        existing = [ExistingCgroup(cgroups[runtime]) for runtime in RUNTIMES]
        insides = {runtime: _upper(cgroups[runtime]) / "inside" for runtime in RUNTIMES}
        files = [volumes[runtime] / "out" for runtime in RUNTIMES]
        running = settle(first, existing, [*files, *insides.values()])
        for runtime in (docker, podman):
            runtime.remove(f"{runtime.name}-writer")
        containerd.kill("containerd-writer")
        removed = settle(first, [], files)
        assert first.stop() == 0
        with Memtrace(*state) as second:
            restarted = settle(second, [], files)
            for file in files:
                file.unlink()
                (file.parent / "done").unlink()
                (file.parent / "inside").unlink()
            freed = second.settle()
        yield Scene(cgroups, volumes, insides, running, removed, restarted, freed)


def _start(
    containerd: Containerd, docker: Docker, podman: Podman, volumes: dict[str, Path]
) -> dict[str, str]:
    """Start everything, wait for all that was to be written, and return the cgroups."""
    inside = f"dd if=/dev/zero of=/inside bs=4096 count={INSIDE_PAGES}; echo > /data/inside"
    sleeps = _writes("/data/out", PAGES, f"{inside}; sleep 600")
    containerd.run("containerd-writer", volumes["containerd"], *sleeps)
    docker_id = docker.run("docker-writer", volumes["docker"], *sleeps)
    podman_id = podman.run("podman-writer", volumes["podman"], *sleeps)
    ends = _writes("/data/out", SHORT_PAGES)
    short_docker = docker.run(SHORT[0], volumes[SHORT[0]], *ends, options=("--rm",))
    short_podman = podman.run(SHORT[1], volumes[SHORT[1]], *ends, options=("--rm",))
    for name, volume in volumes.items():
        last = "done" if name in SHORT else "inside"
        _wait_for((volume / last).exists, f"the work of {name}")
    return {
        "containerd": f"/{NAMESPACE}/containerd-writer",
        "docker": f"/docker/{docker_id}",
        "podman": f"/libpod_parent/libpod-{podman_id}",
        SHORT[0]: f"/docker/{short_docker}",
        SHORT[1]: f"/libpod_parent/libpod-{short_podman}",
    }


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_running_container_has_its_name_and_image(scene: Scene, runtime: str) -> None:
    """All three runtimes at once, each named from its own files."""
    row = scene.running.row(scene.cgroups[runtime])
    shown = [row[key] for key in ("kind", "state", "runtime", "container", "name", "image")]
    name = f"{runtime}-writer"
    assert shown == ["container", "running", runtime, name, name, IMAGES[runtime]]
    assert row["resolved_by"] == runtime


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_running_container_is_exact(scene: Scene, runtime: str) -> None:
    """What is attributed to it is what memory.stat says, and its volume shows at the host path."""
    row = assert_exact(scene.running, ExistingCgroup(scene.cgroups[runtime]))
    driven = row.driven(path=str(scene.volumes[runtime] / "out"), kind="write", comm="dd")
    assert driven == PAGES * PAGE


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_files_are_called_as_the_container_calls_them(scene: Scene, runtime: str) -> None:
    """Its volume and its own root, wherever the runtime keeps them on the host."""
    row = scene.running.row(scene.cgroups[runtime])
    expected = {
        "/data/out": (PAGES, scene.volumes[runtime] / "out"),
        "/inside": (INSIDE_PAGES, scene.insides[runtime]),
    }
    for path, (pages, file) in expected.items():
        (shown,) = row.files(container_path=path)
        assert shown["path"] == str(file)
        assert shown["resident_bytes"] == scene.running.cached(file) * PAGE
        assert row.driven(container_path=path, kind="write", comm="dd") == pages * PAGE


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_removed_container_keeps_the_names_of_its_files(scene: Scene, runtime: str) -> None:
    """Nobody could tell them any more: they are remembered."""
    row = scene.removed.row(scene.cgroups[runtime])
    (file,) = row.files(path=str(scene.volumes[runtime] / "out"))
    assert file["container_path"] == "/data/out"


@pytest.mark.parametrize("name", SHORT)
def test_a_container_that_is_gone_in_a_moment_has_its_name(scene: Scene, name: str) -> None:
    """`run --rm`: its metadata is on the disk for some tenths of a second only."""
    row = scene.running.row(scene.cgroups[name])
    assert (row["state"], row["container"]) == ("removed", name)
    assert row["image"] == IMAGES[row["runtime"]]
    driven = row.driven(path=str(scene.volumes[name] / "out"), kind="write", comm="dd")
    assert driven == SHORT_PAGES * PAGE


def test_the_monitor_of_a_container_is_none(scene: Scene) -> None:
    """podman's conmon has a cgroup of its own beside the container's."""
    row = scene.running.row("/libpod_parent/conmon")
    assert (row["kind"], row["container"]) == ("cgroup", None)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_removed_container_keeps_name_and_figures(scene: Scene, runtime: str) -> None:
    """Its pages live on in the volume's file."""
    assert_removed(scene.removed, scene.removed.row(scene.cgroups[runtime]), scene, runtime)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_removed_container_keeps_them_over_a_restart_of_memtrace(
    scene: Scene, runtime: str
) -> None:
    """From its tombstone: nothing else on the machine knows the name any more."""
    row = scene.restarted.row(scene.cgroups[runtime])
    assert_removed(scene.restarted, row, scene, runtime)
    assert row["resolved_by"] == "tombstone"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_removed_container_goes_with_its_last_page(scene: Scene, runtime: str) -> None:
    """Its files are deleted: what is left, if anything, is not theirs."""
    ids = [row["cgroup_id"] for row in scene.freed["containers"]]
    gone = scene.removed.row(scene.cgroups[runtime])["cgroup_id"]
    if gone in ids:
        (left,) = [Row(row) for row in scene.freed["containers"] if row["cgroup_id"] == gone]
        assert left.attributed < PAGES * PAGE
        assert not left.files(path=str(scene.volumes[runtime] / "out"), deleted=False)


def assert_removed(quiet: Quiet, row: Row, scene: Scene, runtime: str) -> None:
    """Name and image, and of the volume's file what cachestat says is left of it."""
    name = f"{runtime}-writer"
    shown = [row[key] for key in ("state", "kind", "runtime", "container", "name", "image")]
    assert shown == ["removed", "container", runtime, name, name, IMAGES[runtime]]
    file = scene.volumes[runtime] / "out"
    resident = [entry["resident_bytes"] for entry in row.files(path=str(file))]
    assert resident == [quiet.cached(file) * PAGE]
    assert row.attributed >= resident[0] > PAGES * PAGE // 2


def test_a_state_directory_that_cannot_be_is_one_feature_off() -> None:
    """With the reason; everything else goes on."""
    with Memtrace("--state-dir", "/proc/memtrace") as memtrace:
        features = memtrace.first()["features"]
    assert not features["tombstones"]["enabled"]
    assert "/proc/memtrace cannot be made" in features["tombstones"]["reason"]
    assert features["page_cache"]["enabled"]
