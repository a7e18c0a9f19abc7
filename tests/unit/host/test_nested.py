"""Containers inside containers: named by what is in there, and by nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memtrace.host.identity import Resolver
from memtrace.host.runtimes.nested import Nested
from tests.unit.host import trees
from tests.unit.host.trees import POD, POSTGRES, SANDBOX, UID, WEB

OUTER = f"/docker/{WEB}"
INNER = f"{OUTER}/kubelet{POD}/{POSTGRES}"
PID = 4711
CLEAN = "30 20 0:5 / / rw - overlay overlay rw\n31 30 0:6 / /run rw - tmpfs tmpfs rw\n"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A container that is a cluster's node, as kind makes them, with pod shop/pg-0 in it."""
    trees.docker(tmp_path, WEB, trees.text("docker_container.json"))
    trees.write(tmp_path, f"{trees.TASKS}/moby/{WEB}/init.pid", str(PID))
    trees.write(tmp_path, f"proc/{PID}/cgroup", f"4:memory:{OUTER}/init.scope\n0::/\n")
    trees.write(tmp_path, f"proc/{PID}/mountinfo", CLEAN)
    trees.pod(tmp_path / f"proc/{PID}/root")
    return tmp_path


def test_a_pods_container_in_a_node_container_has_its_names(node: Path) -> None:
    """Read through the root of the node's first process; the answer says that it is from inside."""
    found = Nested(node).identify(INNER)
    assert found is not None
    assert (found.namespace, found.pod, found.container, found.runtime, found.resolved_by) == (
        "shop",
        "pg-0",
        "postgres",
        "containerd",
        "containerd inside",
    )


def test_a_runtime_that_sees_the_hosts_hierarchy_is_understood(node: Path) -> None:
    """Without a cgroup namespace of its own it notes the whole path."""
    config = trees.text("config_cri_container.json").replace(f"{POD}/{POSTGRES}", INNER)
    trees.bundle(node / f"proc/{PID}/root", "k8s.io", POSTGRES, config)
    assert INNER in config
    assert Nested(node).identify(INNER) is not None


def test_the_node_itself_and_its_pods_are_named(node: Path) -> None:
    """The node by docker, the pod by its containers."""
    resolver = Resolver(node)
    assert resolver.resolve(1, OUTER).name == "web"
    resolver.resolve(2, f"{OUTER}/kubelet{POD}/{SANDBOX}")
    assert resolver.resolve(3, f"{OUTER}/kubelet{POD}").name == "pg-0"


def test_podman_can_be_outside(node: Path) -> None:
    """It notes the first process in another place."""
    where = f"run/containers/storage/overlay-containers/{WEB}/userdata/pidfile"
    (node / trees.TASKS / "moby" / WEB / "init.pid").unlink()
    trees.write(node, where, f"{PID}\n")
    outer = f"/machine.slice/libpod-{WEB}.scope"
    trees.write(node, f"proc/{PID}/cgroup", f"0::{outer}/container/init.scope\n")
    assert Nested(node).identify(f"{outer}/container/kubelet{POD}/{POSTGRES}") is not None


def test_a_pid_used_again_is_not_believed(node: Path) -> None:
    """The process must be in the outer container's cgroup."""
    trees.write(node, f"proc/{PID}/cgroup", f"4:memory:{OUTER}0\n")
    assert Nested(node).identify(INNER) is None


def test_nothing_is_read_where_a_lookup_could_hang(node: Path) -> None:
    """Whoever answers for a FUSE file system may never answer."""
    fuse = "32 31 0:7 / /run/containerd rw - fuse.evil evil rw\n"
    trees.write(node, f"proc/{PID}/mountinfo", CLEAN + fuse)
    assert Nested(node).identify(INNER) is None
    lxcfs = fuse.replace("/run/containerd", "/proc/cpuinfo")
    trees.write(node, f"proc/{PID}/mountinfo", CLEAN + lxcfs)
    assert Nested(node).identify(INNER) is not None


def test_nothing_is_read_from_another_machine(node: Path) -> None:
    """A server that is down would hold us up; volumes of pods elsewhere in there do not."""
    nfs = "32 31 0:7 / /var/lib rw - nfs4 server:/export rw\n"
    trees.write(node, f"proc/{PID}/mountinfo", CLEAN + nfs)
    assert Nested(node).identify(INNER) is None
    volume = nfs.replace("/var/lib", "/var/lib/kubelet/pods/1/volumes/nfs")
    trees.write(node, f"proc/{PID}/mountinfo", CLEAN + volume)
    assert Nested(node).identify(INNER) is not None


def test_the_systemd_driver_in_a_node_is_understood(node: Path) -> None:
    """As in kind on cgroup v2: every slice there is below the node's scope."""
    outer = f"/system.slice/docker-{WEB}.scope"
    pod = f"kubelet-kubepods-burstable-pod{UID.replace('-', '_')}.slice"
    inside = f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/{pod}"
    config = json.loads(trees.text("config_cri_container.json"))
    config["linux"]["cgroupsPath"] = f"{pod}:cri-containerd:{POSTGRES}"
    trees.bundle(node / f"proc/{PID}/root", "k8s.io", POSTGRES, json.dumps(config))
    trees.write(node, f"proc/{PID}/cgroup", f"0::{outer}/init.scope\n")
    found = Nested(node).identify(f"{outer}{inside}/cri-containerd-{POSTGRES}.scope")
    assert found is not None
    assert (found.container, found.pod) == ("postgres", "pg-0")


def test_the_hosts_runtimes_are_not_asked_about_what_is_inside(tmp_path: Path) -> None:
    """A container could otherwise lend its cgroups the names of the host's containers."""
    trees.pod(tmp_path)
    found = Resolver(tmp_path).resolve(1, INNER)
    assert (found.kind, found.container, found.resolved_by) == ("container", None, "path")


def test_a_pod_inside_does_not_name_the_hosts_pod(node: Path) -> None:
    """Although it says that it has the same uid."""
    resolver = Resolver(node)
    resolver.resolve(1, INNER)
    assert resolver.resolve(2, POD).pod is None


@pytest.mark.parametrize(
    "path",
    [
        OUTER,
        f"{OUTER}/kubelet",
        f"{OUTER}/kubelet{POD}",
        f"{OUTER}/{'7' * 64}/{POSTGRES}",
        POD,
        "/",
        "",
    ],
)
def test_anything_else_is_not_known(node: Path, path: str) -> None:
    """No container of its own, or deeper than one level."""
    assert Nested(node).identify(path) is None


def test_without_a_process_there_is_no_answer(node: Path) -> None:
    """It ended, or nobody noted its pid."""
    for text in ("", "-1", "x", "9" * 40, "99"):
        trees.write(node, f"{trees.TASKS}/moby/{WEB}/init.pid", text)
        assert Nested(node).identify(INNER) is None
