"""A cluster's node that is a container of docker: containerd runs inside, and a pod in there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.runtimes import Docker, needed
from tests.kernel.harness.cgroup import ExistingCgroup
from tests.kernel.harness.containerd import CONFIG, IMAGE, Containerd, write_image
from tests.kernel.harness.expect import assert_exact
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import Memtrace, Row
from tests.kernel.harness.quiet import Quiet, settle

PAGES = 307
ID = "b2" * 32
POD = "/kubelet/kubepods/burstable/pod0b7d9f46-5c2c-4c55-9d0e-0a8f7a1c2d3e"
NAMES = {
    "container-type": "container",
    "container-name": "postgres",
    "image-name": "docker.io/library/postgres:16",
    "sandbox-id": "a1" * 32,
    "sandbox-name": "pg-0",
    "sandbox-namespace": "shop",
}
# What a runtime needs inside: the host's programs, places of its own, and its cgroups.
NODE = (
    *("--volume", "/usr:/usr:ro", "--volume", "/lib:/lib:ro", "--volume", "/lib64:/lib64:ro"),
    *("--tmpfs", "/run", "--tmpfs", "/tmp", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup"),
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--device-cgroup-rule", "a *:* rwm"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined"),
    *("--env", "PATH=/usr/sbin:/usr/bin:/bin"),
)
CTR = ("/usr/bin/ctr", "--namespace", "k8s.io")


@dataclass(frozen=True)
class Scene:
    """The node's cgroup, and what memtrace says: running all the time, and started afterwards."""

    node: str
    quiet: Quiet
    late: Quiet

    @property
    def row(self) -> Row:
        """The container inside the container."""
        return self.quiet.row(f"{self.node}{POD}/{ID}")


@pytest.fixture(scope="module")
def scene(disk: Path) -> Iterator[Scene]:
    """A node with a container that writes into its own root and sleeps."""
    needed("dockerd", "docker", "containerd", "ctr", "runc", "busybox")
    inside = disk / "inside"
    for directory in (inside, disk / "ctr"):
        directory.mkdir()
    (inside / "config.toml").write_text(CONFIG)
    write_image(inside / "image.tar")
    state = ("--state-dir", str(disk / "state"))
    with (
        Memtrace(*state) as memtrace,
        Containerd(disk / "ctr") as containerd,
        Docker(disk / "dockerd", containerd.socket) as docker,
    ):
        memtrace.first()
        started = ("/usr/bin/containerd", "--config", "/data/config.toml", "--root", "/data/root")
        node = f"/docker/{docker.run('node', inside, *started, options=NODE)}"
        _start_inside(docker, node)
        existing = [ExistingCgroup(f"{node}{POD}/{ID}")]
        quiet = settle(memtrace, existing, [])
        with Memtrace(*state) as other:
            late = Quiet(other.first(), quiet.kernel)
        yield Scene(node, quiet, late)
        docker.execute("node", *CTR, "tasks", "kill", "--signal", "SIGKILL", ID)
        docker.execute("node", *CTR, "tasks", "delete", "--force", ID)


def _start_inside(docker: Docker, node: str) -> None:
    """What a kubelet would have asked for: a container in a pod's cgroup, with CRI's notes."""
    deadline = time.monotonic() + 20
    while True:
        try:
            docker.execute("node", *CTR, "images", "import", "/data/image.tar")
            break
        except AssertionError:  # it is still starting
            assert time.monotonic() < deadline
            time.sleep(0.2)
    notes = [f"--annotation=io.kubernetes.cri.{key}={value}" for key, value in NAMES.items()]
    work = f"dd if=/dev/zero of=/out bs=4096 count={PAGES}; sleep 600"
    where = ("--cgroup", f"{node}{POD}/{ID}")
    docker.execute(
        "node", *CTR, "run", "--detach", *where, *notes, IMAGE, ID, "/bin/sh", "-c", work
    )


def test_a_container_inside_is_named_by_the_runtime_inside(scene: Scene) -> None:
    """Read through the node's own root: its /run is a tmpfs that the host has no path to."""
    keys = ("kind", "state", "runtime", "namespace", "pod", "container", "image", "resolved_by")
    assert {key: scene.row[key] for key in keys} == {
        "kind": "container",
        "state": "running",
        "runtime": "containerd",
        "namespace": "shop",
        "pod": "pg-0",
        "container": "postgres",
        "image": "docker.io/library/postgres:16",
        "resolved_by": "containerd inside",
    }


def test_a_container_inside_is_exact(scene: Scene) -> None:
    """What is attributed to it is what memory.stat says."""
    row = assert_exact(scene.quiet, ExistingCgroup(f"{scene.node}{POD}/{ID}"))
    assert row.driven(kind="write", comm="dd") == PAGES * PAGE


def test_the_node_is_named_by_docker(scene: Scene) -> None:
    """It is a container like any other."""
    row = scene.quiet.row(scene.node)
    assert (row["runtime"], row["container"], row["image"]) == ("docker", "node", Docker.image)


@pytest.mark.parametrize("which", ["quiet", "late"])
def test_the_pod_inside_is_named_by_its_containers(scene: Scene, which: str) -> None:
    """Also in the first snapshot of a memtrace that finds everything running."""
    row = getattr(scene, which).row(f"{scene.node}{POD}")
    assert (row["kind"], row["name"], row["namespace"]) == ("pod", "pg-0", "shop")
