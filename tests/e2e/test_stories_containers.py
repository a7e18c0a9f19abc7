"""S1 and S5 in containers of a real containerd: who it is by name, and advice in its own form."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e.runtimes import as_in_kubernetes, containerd_in
from tests.e2e.stories.explain import Answer, explain
from tests.e2e.stories.pulling import SlowPull, pull
from tests.kernel.harness.cgroup import ExistingCgroup
from tests.kernel.harness.containerd import NAMESPACE, Containerd
from tests.kernel.harness.files import PAGE, cold_again, cold_file
from tests.kernel.harness.golang import build

pytestmark = pytest.mark.timeout(300)

MIB = 1 << 20
BLOB, PACE = 80 * MIB, 3 * MIB
LIMIT, HEAP_LIMIT = 64 * MIB, 200 * MIB
LIVE, CHURN = 120, 2048  # MiB, and KiB of garbage a second
SECONDS, READY_SECONDS = 6.0, 60.0
POD = "pod0d2c6c83-6a1c-4a5e-9d1c-3f1f8a2b7e02"
IMAGE = "registry.example/shop/app:1"
ID = "7e" * 32
NAME = f"app{os.getpid()}"
"""Of this run: one of a run before may still have pages."""
STATIC = "-tags=netgo"
"""busybox' image has no C library."""
STAYS = "sleep 3600"
"""Keeps the input of a program open, which ends with it."""


@pytest.fixture(scope="module")
def containerd(disk: Path) -> Iterator[Containerd]:
    """One of our own."""
    with containerd_in(disk) as running:
        yield running
        running.kill(ID)


@pytest.fixture(scope="module")
def volume(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the containers have at /data: the programs and two blobs."""
    place, go = disk / "volume", tmp_path_factory.mktemp("go")
    place.mkdir()
    for name in ("serve", "service"):
        shutil.copy(build(name, go, STATIC).path, place / name)
    for number in range(2):
        cold_file(place / f"layer-{number}", BLOB // PAGE)
    return place


def until_written(path: Path) -> str:
    """The first line of a file that a container writes."""
    deadline = time.monotonic() + READY_SECONDS
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"the container does not write {path.name}"
        time.sleep(0.1)
    return path.read_text().split()[0]


def serving(containerd: Containerd, volume: Path, name: str, how: str) -> Answer:
    """Explain a mirror that sends one blob after the other, by the name of its container."""
    command = f"{STAYS} | /data/serve /data > /data/{name}.port"
    given = ("--net-host", "--memory-limit", str(LIMIT))
    for blob in volume.glob("layer-*"):
        cold_again(blob)
    containerd.run(name, volume, "/bin/sh", "-c", command, given=given)
    port = int(until_written(volume / f"{name}.port"))
    assert pull(port, f"/{how}/layer-0") == BLOB
    with SlowPull(port, f"/{how}/layer-1", PACE):
        return explain(name, SECONDS)


@pytest.mark.parametrize("how", ["sendfile", "buffered"])
def test_s1_in_a_container_of_ctr(containerd: Containerd, volume: Path, how: str) -> None:
    """At its limit with its own cache, its files as the container calls them, in whose function."""
    name = f"mirror-{how}"
    answer = serving(containerd, volume, name, how)
    who = answer.said["container"]
    assert (who["kind"], who["runtime"], who["container"]) == ("container", "containerd", name)
    assert who["limit_bytes"] == LIMIT
    assert answer.id == "cache_at_limit", answer.text
    clean = ExistingCgroup(f"/{NAMESPACE}/{name}").file_bytes()
    assert answer.verdict["bytes"] == pytest.approx(clean, rel=0.1)
    function = {"sendfile": "http.(*response).ReadFrom", "buffered": "main.copyBlob"}[how]
    call = {"sendfile": "sendfile", "buffered": "read"}[how]
    assert f"serve ({call} in {function}" in answer.verdict["claim"]
    assert "file /data/layer-1" in answer.text
    assert not answer.alarms
    assert not answer.sets_go
    containerd.kill(name)


class Service:
    """The Go service in a container of ctr, which reads its orders from a pipe in its volume."""

    def __init__(
        self, containerd: Containerd, volume: Path, name: str, given: Sequence[str]
    ) -> None:
        self._said = volume / "said"
        os.mkfifo(volume / "orders")
        self._orders = os.open(volume / "orders", os.O_RDWR)  # open at once, and to the end
        command = "exec /data/service < /data/orders > /data/said"
        containerd.run(name, volume, "/bin/sh", "-c", command, given=given)

    def order(self, words: str) -> str:
        """Have something done; what it answers."""
        before = self._lines()
        os.write(self._orders, f"{words}\n".encode())
        deadline = time.monotonic() + READY_SECONDS
        while len(lines := self._lines()) <= max(len(before), 1):
            assert time.monotonic() < deadline, f"no answer to {words}"
            time.sleep(0.1)
        return lines[-1]

    def _lines(self) -> list[str]:
        return self._said.read_text().splitlines() if self._said.exists() else []


def test_s5_in_a_container_of_kubernetes(containerd: Containerd, volume: Path) -> None:
    """Named by namespace, pod, container and image; GOMEMLIMIT as lines for its manifest."""
    path = f"/{NAMESPACE}/kubepods/burstable/{POD}/{ID}"
    noted = as_in_kubernetes(NAME, namespace="shop", pod=f"{NAME}-0", image=IMAGE)
    given = ["--memory-limit", str(HEAP_LIMIT), "--cgroup", path, *noted]
    service = Service(containerd, volume, ID, given)
    service.order(f"keep {LIVE}")
    service.order(f"churn {CHURN}")
    while json.loads(service.order("stats"))["goal_bytes"] <= LIVE * MIB:
        time.sleep(0.2)
    service.order("churn 0")
    answer = explain(NAME, SECONDS)
    who = answer.said["container"]
    names = tuple(who[key] for key in ("namespace", "pod", "container", "image"))
    assert names == ("shop", f"{NAME}-0", NAME, IMAGE)
    assert answer.id == "go_goal_over_limit"
    advised = answer.advised("GOMEMLIMIT")
    (paste,) = [each["paste"] for each in answer.advice if each["setting"] == "GOMEMLIMIT"]
    assert paste == f'env: [{{name: GOMEMLIMIT, value: "{advised // MIB}MiB"}}]'
    assert advised <= 0.9 * HEAP_LIMIT
