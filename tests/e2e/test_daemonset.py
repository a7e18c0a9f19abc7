"""The agent as a node has it: the built image, the manifest, containerd's CRI plugin, pods.

The kubelet (kubelet.py) and the API server are stand-ins, everything else is real. What the pod may
do is read from the rendered manifest, so that it cannot be more here than there.
"""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from memtrace.samples import CgroupSample, Sample
from memtrace.store.reader import Recording
from tests.e2e.cri import GATEWAY, PREPARED, Cri, may_lower_scores
from tests.e2e.image import image_archive
from tests.e2e.kubelet import Pod
from tests.e2e.manifests import KUBERNETES, rendered
from tests.e2e.pod_cgroups import OURS, container_cgroup
from tests.kernel.harness.agent import Agent
from tests.kernel.harness.cgroup import ExistingCgroup
from tests.kernel.harness.containerd import IMAGE
from tests.kernel.harness.files import PAGE
from tests.patience import PATIENCE
from tests.unit.service.api_server import ApiServer, make_account

pytestmark = pytest.mark.timeout(900 * PATIENCE)  # the image may have to be built first

NODE = "node-7"
PODS = {
    "web-0": "7d5d7a51-93f5-4c10-8a3e-0f4f6a1f2b01",
    "web-1": "7d5d7a51-93f5-4c10-8a3e-0f4f6a1f2b02",
}
CONTAINERS = {"server": 211, "sidecar": 307}  # pages each writes
UID = "0b7d9f46-5c2c-4c55-9d0e-0a8f7a1c2d3e"
LIMIT = 32 << 20
KILLED = ("web-1", "server")
WORK = (
    "dd if=/dev/zero of=/data/{name} bs=4096 count={pages};"
    " until [ -e /data/{name}.go ]; do sleep 0.1; done; exec dd if=/dev/zero of=/dev/null bs=64M"
)
NEEDS_MORE = {
    "locked_memory": "CAP_IPC_LOCK",
    "priority": "CAP_SYS_NICE",
    "oom_protection": "CAP_SYS_RESOURCE",
}
"""What the manifest does without; the last by the score a kubelet gives, where it may."""


@dataclass(frozen=True)
class Scene:
    """A node with the agent and two pods, and what is known outside of it."""

    cri: Cri
    agent: Pod
    sandbox: str
    container: str
    host: Agent  # the same agent on the host, with all privileges
    api: ApiServer
    data: Path
    ids: dict[tuple[str, str], str]  # of the containers, by pod and name

    def ask(self, path: str) -> Any:
        """What the agent answers at the pod's own address."""
        where = f"http://{self.cri.address(self.sandbox)}:9435{path}"
        with urllib.request.urlopen(where, timeout=10) as answer:
            return json.load(answer)

    @property
    def series(self) -> list[Any]:
        """What a scrape gets of it."""
        where = f"http://{self.cri.address(self.sandbox)}:9435/metrics"
        with urllib.request.urlopen(where, timeout=30) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            return [sample for family in families for sample in family.samples]

    @property
    def log(self) -> list[str]:
        """Its lines on standard error, as containerd keeps them for kubectl logs."""
        log = self.cri.logs("memtrace", "memtrace-x7z2k", UID) / "0.log"
        return [line.split(" ", 3)[3] for line in log.read_text().splitlines()]

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it logged under this name."""
        return [event for event in map(json.loads, self.log) if event["event"] == name]

    @property
    def sample(self) -> Sample:
        """The last one in its history."""
        with Recording(self.agent.volumes["state"] / "history.mtr", 60.0) as past:
            return past.sample(len(past.moments) - 1)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Its post-mortems of what was killed in our pods: others may test kills, too."""
        found = (self.agent.volumes["postmortems"] / "oom").glob("*.json")
        read = [json.loads(path.read_text()) for path in found]
        return [record for record in read if (record["oom_cgroup"]["path"] or "").startswith(OURS)]

    @property
    def kills(self) -> list[dict[str, Any]]:
        """What it logged of them."""
        return [event for event in self.events("oom_kill") if event["namespace"] == "shop"]

    @property
    def made(self) -> list[tuple[str, str, dict[str, Any]]]:
        """The Events it made of them: path, token, content."""
        return [asked for asked in self.api.asked if "/shop/" in asked[0]]


@pytest.fixture(scope="module")
def scene(disk: Path) -> Iterator[Scene]:
    """Everything started, and written."""
    (disk / "host").mkdir()
    (disk / "account").mkdir()
    account = make_account(disk / "account", GATEWAY)
    with (
        Agent(disk / "host") as host,
        ApiServer(account, "0.0.0.0") as api,
        Cri(disk / "cri") as cri,
    ):
        if PREPARED is None:
            cri.load(image_archive())
        server = (GATEWAY, api.server_port, account)
        agent = Pod(rendered(KUBERNETES / "overlays" / "events"), disk / "volumes", NODE, server)
        sandbox, container = agent.start(cri, "memtrace-x7z2k", UID)
        scene = Scene(cri, agent, sandbox, container, host, api, disk / "data", {})
        scene.data.mkdir()
        until(lambda: bool(scene.events("first_sample")), 60)
        for pod, uid in PODS.items():
            start_pod(scene, pod, uid)
        until(lambda: all(written(scene, pod) for pod in PODS), 30)
        time.sleep(2.5 * PATIENCE)  # two samples
        yield scene


def start_pod(scene: Scene, pod: str, uid: str) -> None:
    """A pod of two containers, which write a file each and wait."""
    sandbox = scene.cri.run_pod("shop", pod, uid)
    data = scene.data / pod
    data.mkdir()
    for name, pages in CONTAINERS.items():
        limits = {4: LIMIT if (pod, name) == KILLED else 0}
        config = {
            1: {1: name},
            2: {1: IMAGE},
            3: ["/bin/sh", "-c", WORK.format(name=name, pages=pages)],
            7: [{1: "/data", 2: str(data)}],
            11: f"{name}.log",
            15: {1: limits},
        }
        scene.ids[pod, name] = scene.cri.run_container(sandbox, config)


def written(scene: Scene, pod: str) -> bool:
    """Whether both containers of a pod have written all."""
    files = {scene.data / pod / name: pages for name, pages in CONTAINERS.items()}
    return all(f.exists() and f.stat().st_size == n * PAGE for f, n in files.items())


def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for it; fails after so many seconds."""
    deadline = time.monotonic() + seconds * PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_it_is_well(scene: Scene) -> None:
    """By the answer that the manifest's probes get, at the pod's own address."""
    health = scene.ask("/healthz")
    assert (health["status"], health["degraded"]) == ("ok", {})


def test_it_has_what_the_manifest_gives(scene: Scene) -> None:
    """No capability more, a file system it cannot write to, and the runtime's seccomp profile."""
    given = scene.agent.container["securityContext"]["capabilities"]["add"]
    started = scene.cri.specification(scene.container)
    assert started["process"]["capabilities"]["bounding"] == [f"CAP_{name}" for name in given]
    assert started["process"]["noNewPrivileges"]
    assert started["root"]["readonly"]
    assert started["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    status = scene.cri.execute(scene.container, "cat", "/proc/self/status")
    assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
    mounts = {mount["destination"]: mount["options"] for mount in started["mounts"]}
    for mount in scene.agent.container["volumeMounts"]:
        assert ("ro" in mounts[mount["mountPath"]]) == mount.get("readOnly", False)


def test_every_feature_that_needs_no_more_is_on(scene: Scene) -> None:
    """The same as on the host with all privileges; what is off says which capability it takes."""
    here = {event["feature"]: event["reason"] for event in scene.events("feature_off")}
    there = {event["feature"] for event in scene.host.events("feature_off")}
    expected = {name for name in NEEDS_MORE if name != "oom_protection" or not may_lower_scores()}
    assert set(here) - there <= expected
    assert expected <= set(here)
    assert all(NEEDS_MORE[name] in here[name] for name in expected)


@pytest.mark.parametrize("pod", PODS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_is_named(scene: Scene, pod: str, container: str) -> None:
    """With its pod and namespace, and what it wrote is its own to the page."""

    def by_dd() -> int:
        drivers = [
            row for each in rows(scene.sample, pod, container) for row in each.ledger.drivers
        ]
        return sum(r.added_bytes for r in drivers if (r.comm, r.kind) == ("dd", "write"))

    until(lambda: by_dd() == CONTAINERS[container] * PAGE, 20)  # while others start fifty pods
    (found,) = rows(scene.sample, pod, container)
    assert (found.identity.namespace, found.identity.image) == ("shop", IMAGE)
    assert found.path == container_cgroup(PODS[pod], scene.ids[pod, container])


@pytest.mark.parametrize("pod", PODS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_every_series_is_named(scene: Scene, pod: str, container: str) -> None:
    """On /metrics, at the pod's own address: one of each kind for each container."""
    labels = {"namespace": "shop", "pod": pod, "container": container}
    found = [each for each in scene.series if labels.items() <= each.labels.items()]
    usage = [each.value for each in found if each.name == "memtrace_memory_usage_bytes"]
    assert len(usage) == 1
    assert usage[0] >= CONTAINERS[container] * PAGE


@pytest.mark.parametrize("pod", PODS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_every_figure_is_the_kernel_s(scene: Scene, pod: str, container: str) -> None:
    """The cache of a scrape is what memory.stat says, and the ledger explains all of it."""
    cgroup = ExistingCgroup(container_cgroup(PODS[pod], scene.ids[pod, container]))
    labels = {"namespace": "shop", "pod": pod, "container": container}

    def agrees() -> bool:
        found = {e.name: e.value for e in scene.series if labels.items() <= e.labels.items()}
        told = found["memtrace_memory_file_bytes"], found["memtrace_page_cache_attributed_bytes"]
        return set(told) == {cgroup.file_bytes()}

    until(agrees, 20)  # memory.stat may lag behind


def test_features_are_series(scene: Scene) -> None:
    """Those that are off say which capability it takes."""
    told = {
        each.labels["feature"]: (each.value, each.labels["reason"])
        for each in scene.series
        if each.name == "memtrace_feature_enabled"
    }
    assert told["page_cache"][0] == told["kubernetes_events"][0] == 1
    for name in ("locked_memory", "priority"):
        assert told[name][0] == 0
        assert NEEDS_MORE[name] in told[name][1]


def test_the_node_has_the_name_its_cluster_gives_it(scene: Scene) -> None:
    """Not that of the agent's pod."""
    assert scene.sample.node == NODE


def test_a_shell_in_the_pod_has_the_screen_s_figures(scene: Scene) -> None:
    """kubectl exec ds/memtrace -- memtrace top: a second memtrace, within the same limit."""
    line = scene.cri.execute(scene.container, "memtrace", "top", "--json", "1", "1")
    names = {(row["pod"], row["container"]) for row in json.loads(line)["containers"]}
    assert {(pod, container) for pod in PODS for container in CONTAINERS} <= names


def test_a_kill_is_explained_by_name(scene: Scene) -> None:
    """The record carries namespace, pod and container; the log has one event for it."""
    pod, container = KILLED
    (scene.data / pod / f"{container}.go").touch()
    until(lambda: bool(scene.records), 30)
    (record,) = scene.records
    for part in (record["victim"], record["oom_cgroup"]):
        names = tuple(part[key] for key in ("namespace", "pod", "container", "image"))
        assert names == ("shop", pod, container, IMAGE)
    assert record["oom_cgroup"]["path"] == container_cgroup(PODS[pod], scene.ids[KILLED])
    assert (record["kill"], record["oom_cgroup"]["limit"], record["node"]) == ("memcg", LIMIT, NODE)
    until(lambda: bool(scene.kills), 10)
    (event,) = scene.kills
    assert (event["id"], event["pod"], event["container"]) == (record["id"], pod, container)


def test_a_kill_is_an_event_beside_its_pod(scene: Scene) -> None:
    """Of the pod's uid, sent from within the agent's pod with the account's token."""
    until(lambda: bool(scene.made), 30)
    ((path, token, event),) = scene.made
    pod, container = KILLED
    assert (path, token) == ("/api/v1/namespaces/shop/events", "Bearer first")
    about = event["involvedObject"]
    assert (about["name"], about["uid"], event["source"]["host"]) == (pod, PODS[pod], NODE)
    assert about["fieldPath"] == f"spec.containers{{{container}}}"
    (record,) = scene.records
    assert record["id"] in event["message"]


def test_every_line_it_logs_is_one_json_object(scene: Scene) -> None:
    """With an event, a level and a time."""
    for line in scene.log:
        assert {"event", "level", "time"} <= set(json.loads(line)), line


def rows(sample: Sample, pod: str, container: str) -> list[CgroupSample]:
    """A sample's cgroups of one container."""
    return [
        each
        for each in sample.cgroups
        if (each.identity.pod, each.identity.container) == (pod, container)
    ]
