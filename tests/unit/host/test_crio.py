"""Names of CRI-O's containers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from memtrace.host.identity import Resolver
from memtrace.host.runtimes.crio import Crio
from memtrace.samples import Identity
from tests.unit.host import trees
from tests.unit.host.trees import CRIO, CRIO_SANDBOX, JSON, UID

POD = (
    f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID.replace('-', '_')}.slice"
)
PATH = f"{POD}/crio-{CRIO}.scope"
IDENTITY = Identity(
    "container",
    "postgres",
    runtime="cri-o",
    namespace="shop",
    pod="pg-0",
    container="postgres",
    image="docker.io/library/postgres:16",
    resolved_by="cri-o",
)


@pytest.fixture
def crio(tmp_path: Path) -> Crio:
    """A host with pod shop/pg-0."""
    trees.crio(tmp_path, CRIO, trees.text("crio_container.json"))
    trees.crio(tmp_path, CRIO_SANDBOX, trees.text("crio_sandbox.json"), "run/containers/storage")
    return Crio(tmp_path)


@pytest.mark.parametrize(
    "path", [PATH, f"{PATH}/container", f"/kubepods/burstable/pod{UID}/crio-{CRIO}"]
)
def test_a_container_has_all_its_names(crio: Crio, path: str) -> None:
    """With either cgroup driver, and in the cgroup that crun makes inside."""
    assert crio.identify(path) == IDENTITY


def test_a_pause_container_is_the_sandbox(crio: Crio) -> None:
    """Named POD, as with the other runtimes."""
    found = crio.identify(f"{POD}/crio-{CRIO_SANDBOX}.scope")
    assert found is not None
    assert (found.kind, found.container, found.pod, found.namespace, found.image) == (
        "sandbox",
        "POD",
        "pg-0",
        "shop",
        "registry.k8s.io/pause:3.10",
    )


def test_a_container_without_labels_takes_the_pods_name_from_the_sandbox(
    crio: Crio, tmp_path: Path
) -> None:
    """As made by hand, without a kubelet."""
    config = json.loads(trees.text("crio_container.json"))
    annotations = config["annotations"]
    for key in ("pod.name", "pod.namespace", "container.name"):
        del annotations[f"io.kubernetes.{key}"]
    trees.crio(tmp_path, CRIO, json.dumps(config))
    found = crio.identify(PATH)
    assert found is not None
    assert (found.namespace, found.pod, found.container) == ("shop", "pg-0", None)


@pytest.mark.parametrize(
    "path",
    [
        f"{POD}/crio-conmon-{CRIO}.scope",
        f"{POD}/cri-containerd-{CRIO}.scope",
        f"{POD}/{CRIO}",
        f"/user.slice/user-1000.slice/user@1000.service/crio-{CRIO}.scope",
        f"{POD}/crio-{'0' * 64}.scope",
        POD,
        "/",
    ],
)
def test_what_is_not_crios_is_not_known(crio: Crio, path: str) -> None:
    """Monitors, other runtimes, and what a user could have made."""
    assert crio.identify(path) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(annotations=JSON, kind=JSON, sandbox=JSON)
def test_any_json_identifies_to_something(
    tmp_path: Path, annotations: object, kind: object, sandbox: object
) -> None:
    """Whatever types the values have."""
    if isinstance(annotations, dict):
        annotations["io.kubernetes.cri-o.ContainerType"] = kind
        annotations["io.kubernetes.cri-o.SandboxID"] = sandbox
    trees.crio(tmp_path, CRIO, json.dumps({"annotations": annotations}))
    found = Crio(tmp_path).identify(PATH)
    assert found is not None
    assert found.kind in ("container", "sandbox")


def test_a_pod_has_the_name_its_containers_tell(tmp_path: Path, crio: Crio) -> None:
    """The pod's own cgroup carries nothing but its uid."""
    resolver = Resolver(tmp_path, (crio,))
    resolver.resolve(2, f"{POD}/crio-{CRIO_SANDBOX}.scope")
    found = resolver.resolve(1, POD)
    assert (found.kind, found.name, found.namespace, found.runtime, found.resolved_by) == (
        "pod",
        "pg-0",
        "shop",
        "cri-o",
        "cri-o",
    )
