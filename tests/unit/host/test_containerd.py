"""Names of containerd's containers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from memtrace.host.runtimes.containerd import Containerd
from memtrace.samples import Identity
from tests.unit.host import trees
from tests.unit.host.trees import JSON, POD, POSTGRES, SANDBOX, UID

POSTGRES_IDENTITY = Identity(
    "container",
    "postgres",
    runtime="containerd",
    namespace="shop",
    pod="pg-0",
    container="postgres",
    image="docker.io/library/postgres:16",
    resolved_by="containerd",
)


@pytest.fixture
def containerd(tmp_path: Path) -> Containerd:
    """A host with pod shop/pg-0."""
    trees.pod(tmp_path)
    return Containerd(tmp_path)


def test_a_pods_container_has_all_its_names(containerd: Containerd) -> None:
    """From annotations of the bundle alone."""
    assert containerd.identify(f"{POD}/{POSTGRES}") == POSTGRES_IDENTITY


def test_a_pause_container_is_the_sandbox_pod(containerd: Containerd) -> None:
    """Named POD, as in other tools' metrics."""
    found = containerd.identify(f"{POD}/{SANDBOX}")
    assert found is not None
    assert (found.kind, found.container, found.pod, found.namespace) == (
        "sandbox",
        "POD",
        "pg-0",
        "shop",
    )


def test_the_systemd_driver_is_understood(tmp_path: Path) -> None:
    """There cgroupsPath is slice:prefix:name."""
    config = json.loads(trees.text("config_cri_container.json"))
    pod_slice = f"kubepods-burstable-pod{UID.replace('-', '_')}.slice"
    config["linux"]["cgroupsPath"] = f"{pod_slice}:cri-containerd:{POSTGRES}"
    trees.bundle(tmp_path, "k8s.io", POSTGRES, json.dumps(config))
    path = f"/kubepods.slice/{pod_slice}/cri-containerd-{POSTGRES}.scope"
    assert Containerd(tmp_path).identify(path) == POSTGRES_IDENTITY


def test_older_bundles_take_the_pods_name_from_the_sandbox(tmp_path: Path) -> None:
    """The container's own annotations then hold only the sandbox' id."""
    trees.pod(tmp_path)
    config = json.loads(trees.text("config_cri_container.json"))
    for key in ("sandbox-name", "sandbox-namespace", "sandbox-uid"):
        del config["annotations"][f"io.kubernetes.cri.{key}"]
    trees.bundle(tmp_path, "k8s.io", POSTGRES, json.dumps(config))
    assert Containerd(tmp_path).identify(f"{POD}/{POSTGRES}") == POSTGRES_IDENTITY


def test_a_container_of_ctr_is_found_by_namespace_and_free_text_id(tmp_path: Path) -> None:
    """It has a name, and neither pod nor Kubernetes namespace."""
    trees.bundle(tmp_path, "default", "web.1", trees.text("config_ctr.json"))
    assert Containerd(tmp_path).identify("/default/web.1") == Identity(
        "container", "web.1", runtime="containerd", container="web.1", resolved_by="containerd"
    )


def test_a_namesake_elsewhere_is_not_the_container(tmp_path: Path) -> None:
    """The bundle must claim the cgroup."""
    config = trees.text("config_ctr.json").replace("/default/web.1", "/other/web.1")
    trees.bundle(tmp_path, "default", "web.1", config)
    assert Containerd(tmp_path).identify("/default/web.1") is None


def test_a_bundle_without_a_path_is_believed_by_its_long_id_only(tmp_path: Path) -> None:
    """64 digits do not coincide; short names do."""
    bare = '{"linux": {}}'
    trees.bundle(tmp_path, "any", POSTGRES, bare)
    trees.bundle(tmp_path, "any", "web", bare)
    assert Containerd(tmp_path).identify(f"/x/{POSTGRES}") is not None
    assert Containerd(tmp_path).identify("/any/web") is None


def test_dockers_containers_are_known_but_not_named(tmp_path: Path) -> None:
    """Their names are in docker's own files, so somebody else may still tell."""
    config = json.dumps({"linux": {"cgroupsPath": f"/docker/{POSTGRES}"}})
    trees.bundle(tmp_path, "moby", POSTGRES, config)
    assert Containerd(tmp_path).identify(f"/docker/{POSTGRES}") == Identity(
        "container", POSTGRES[:12], runtime="docker", resolved_by="containerd"
    )


@pytest.mark.parametrize("many", [200, 600])
def test_namespaces_of_clients_that_are_gone_hide_nothing(tmp_path: Path, many: int) -> None:
    """Their directories stay; a listing is cut where it gets too long, Kubernetes' never."""
    trees.pod(tmp_path)
    trees.bundle(tmp_path, "moby", trees.WEB, json.dumps({"linux": {"cgroupsPath": "/any"}}))
    for number in range(many):
        (tmp_path / trees.TASKS / f"a{number}").mkdir()
    assert Containerd(tmp_path).identify(f"{POD}/{POSTGRES}") == POSTGRES_IDENTITY


def test_other_state_directories_are_searched(tmp_path: Path) -> None:
    """k3s keeps its own."""
    trees.pod(tmp_path / "run/k3s/moved")
    (tmp_path / "run/k3s/moved/run/containerd").rename(tmp_path / "run/k3s/containerd")
    assert Containerd(tmp_path).identify(f"{POD}/{POSTGRES}") == POSTGRES_IDENTITY


@pytest.mark.parametrize(
    "path", ["/", "/a", "/system.slice/x.service", f"{POD}/{'0' * 64}", "/../../etc", "/k8s.io/.."]
)
def test_what_has_no_bundle_is_not_known(containerd: Containerd, path: str) -> None:
    """Never raises, never leaves the state directory."""
    assert containerd.identify(path) is None


def test_a_bundle_that_is_a_link_out_of_the_root_is_not_read(tmp_path: Path) -> None:
    """Configurations are the one thing whose content ends up on screens."""
    secret = trees.write(tmp_path, "outside/config.json", trees.text("config_ctr.json"))
    root = tmp_path / "root"
    (root / trees.TASKS / "default").mkdir(parents=True)
    (root / trees.TASKS / "default/web.1").symlink_to(secret.parent)
    assert Containerd(root).identify("/default/web.1") is None


def test_a_configuration_above_a_megabyte_is_not_read(tmp_path: Path) -> None:
    """Bounded input."""
    padded = trees.text("config_ctr.json") + " " * (1 << 20)
    trees.bundle(tmp_path, "default", "web.1", padded)
    assert Containerd(tmp_path).identify("/default/web.1") is None


@pytest.mark.parametrize("value", ["", "\x1b[31mred", "x" * 600, 7, None, ["a"], {}])
def test_odd_annotations_are_unknown(tmp_path: Path, value: object) -> None:
    """A name cannot carry escape sequences to a terminal, or pages of text."""
    config = json.loads(trees.text("config_cri_container.json"))
    config["annotations"]["io.kubernetes.cri.image-name"] = value
    config["annotations"]["io.kubernetes.cri.container-name"] = value
    trees.bundle(tmp_path, "k8s.io", POSTGRES, json.dumps(config))
    found = Containerd(tmp_path).identify(f"{POD}/{POSTGRES}")
    assert found is not None
    assert (found.image, found.container) == (None, None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(annotations=JSON, linux=JSON, kind=JSON, path=JSON)
def test_any_json_identifies_to_something(
    tmp_path: Path, annotations: object, linux: object, kind: object, path: object
) -> None:
    """Whatever types the values have."""
    if isinstance(annotations, dict):
        annotations["io.kubernetes.cri.container-type"] = kind
        annotations["io.kubernetes.cri.sandbox-id"] = path
    if isinstance(linux, dict):
        linux["cgroupsPath"] = path
    config = json.dumps({"annotations": annotations, "linux": linux})
    trees.bundle(tmp_path, "k8s.io", POSTGRES, config)
    found = Containerd(tmp_path).identify(f"{POD}/{POSTGRES}")
    assert found is None or found.kind in ("container", "sandbox")
