"""Containers killed whole at their limit and removed at once: their records still name them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.runtimes import Docker, Podman, as_in_kubernetes, containerd_in, needed
from tests.kernel.harness.agent import Agent
from tests.kernel.harness.cgroup import ROOT, ExistingCgroup
from tests.kernel.harness.containerd import NAMESPACE, Containerd

LIMIT = 32 << 20
EATS = ("/bin/sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=64M")
POD = "pod0d2c6c83-6a1c-4a5e-9d1c-3f1f8a2b7e01"
ID = "5e" * 32
IMAGE = "registry.example/shop/web:1"


@pytest.fixture(scope="module")
def containerd(disk: Path) -> Iterator[Containerd]:
    """What docker stands on, too."""
    with containerd_in(disk) as running:
        yield running


@pytest.fixture(scope="module")
def agent(disk: Path) -> Iterator[Agent]:
    """One agent for all."""
    with Agent(disk) as running:
        yield running


def by_docker(disk: Path, containerd: Containerd) -> str:
    """Run and kill a container of docker; its cgroup."""
    needed("dockerd", "docker")
    with Docker(disk / "dockerd", containerd.socket) as docker:
        made = docker.run("killed-docker", disk, *EATS, options=("--rm", "--memory", str(LIMIT)))
        return gone(f"/docker/{made}")


def by_podman(disk: Path, _: Containerd) -> str:
    """The same with podman."""
    needed("podman", "conmon")
    with Podman(disk / "podmand") as podman:
        made = podman.run("killed-podman", disk, *EATS, options=("--rm", "--memory", str(LIMIT)))
        return gone(f"/libpod_parent/libpod-{made}")


def by_containerd(_: Path, containerd: Containerd) -> str:
    """The same with ctr."""
    limited = ("--memory-limit", str(LIMIT))
    containerd.run_and_remove("killed-containerd", *EATS, options=limited)
    return gone(f"/{NAMESPACE}/killed-containerd")


def by_kubernetes(_: Path, containerd: Containerd) -> str:
    """The same as a kubelet has it, with the cgroupfs driver, below a place of ours."""
    path = f"/{NAMESPACE}/kubepods/burstable/{POD}/{ID}"
    noted = as_in_kubernetes("web", namespace="shop", pod="shop-0", image=IMAGE)
    options = ("--memory-limit", str(LIMIT), "--cgroup", path, *noted)
    containerd.run_and_remove(ID, *EATS, options=options)
    return gone(path)


def gone(cgroup: str) -> str:
    """Wait until the runtime has removed a cgroup."""
    deadline = time.monotonic() + 30
    while (ROOT / cgroup.lstrip("/")).exists():
        assert time.monotonic() < deadline, f"{cgroup} is still there"
        time.sleep(0.05)
    return cgroup


NAMED = {
    by_docker: (None, None, "killed-docker", Docker.image),
    by_podman: (None, None, "killed-podman", Podman.image),
    by_containerd: (None, None, "killed-containerd", None),  # ctr notes no image
    by_kubernetes: ("shop", "shop-0", "web", IMAGE),
}


@pytest.mark.parametrize("run", NAMED, ids=lambda run: run.__name__.removeprefix("by_"))
def test_a_container_that_is_gone_is_named(
    disk: Path, agent: Agent, containerd: Containerd, run: Callable[[Path, Containerd], str]
) -> None:
    """The victim and whose limit it was, although cgroup and bundle went with the container."""
    path = run(disk, containerd)
    (record,) = agent.of(ExistingCgroup(path), 1)
    for part in (record["victim"], record["oom_cgroup"]):
        names = tuple(part[key] for key in ("namespace", "pod", "container", "image"))
        assert (part["kind"], names) == ("container", NAMED[run])
    assert (record["kill"], record["victim"]["comm"]) == ("memcg", "dd")
    assert (record["oom_cgroup"]["path"], record["oom_cgroup"]["limit"]) == (path, LIMIT)
