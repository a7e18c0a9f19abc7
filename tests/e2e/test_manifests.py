"""The manifests: what a cluster accepts of them, and that what they ask for is explained."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate as validator
import pytest
import yaml

from memtrace.service.settings import read_settings
from tests.e2e.manifests import KUBERNETES, ROOT, rendered, variants

OLDEST = "1.30"  # the first with appArmorProfile
CUSTOM = ("monitoring.coreos.com/v1",)  # no schema of Kubernetes' own
SECURITY = ROOT / "docs" / "security.md"


def daemonset(variant: Path) -> dict[str, Any]:
    """The pod of a variant's DaemonSet."""
    (found,) = [each for each in rendered(variant) if each["kind"] == "DaemonSet"]
    template: dict[str, Any] = found["spec"]["template"]["spec"]
    return template


def container(variant: Path) -> dict[str, Any]:
    """Its only container."""
    (found,) = daemonset(variant)["containers"]
    return dict(found)


@pytest.mark.parametrize("version", [OLDEST, validator.latest_version()])
@pytest.mark.parametrize("variant", variants(), ids=lambda path: path.name)
def test_every_variant_is_valid(variant: Path, version: str) -> None:
    """For the oldest and the newest Kubernetes, without a field that it does not know."""
    for each in rendered(variant):
        if each["apiVersion"] not in CUSTOM:
            validator.validate(each, version, strict=True)


@pytest.mark.parametrize("variant", variants(), ids=lambda path: path.name)
def test_everything_is_in_one_namespace(variant: Path) -> None:
    """But what belongs to the cluster as a whole."""
    for each in rendered(variant):
        if not each["kind"].startswith(("Namespace", "Cluster")):
            assert each["metadata"]["namespace"] == "memtrace", each["kind"]


def test_an_agent_may_no_more_than_it_needs() -> None:
    """No privilege, four capabilities, nothing of the host writable, no account of the API."""
    given = container(KUBERNETES / "base")
    security = given["securityContext"]
    assert security["capabilities"] == {
        "drop": ["ALL"],
        "add": ["BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH"],
    }
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    pod = daemonset(KUBERNETES / "base")
    of_host = {each["name"] for each in pod["volumes"] if "hostPath" in each}
    mounts = {each["name"]: each.get("readOnly", False) for each in given["volumeMounts"]}
    assert of_host == {"cgroups", "containers"}
    assert all(mounts[name] for name in of_host)
    assert "hostNetwork" not in pod
    (account,) = [e for e in rendered(KUBERNETES / "base") if e["kind"] == "ServiceAccount"]
    assert account["automountServiceAccountToken"] is False


def test_no_mount_shows_a_runtime_s_socket() -> None:
    """In whatever variant: who may write to it may do anything."""
    for variant in variants():
        for volume in daemonset(variant)["volumes"]:
            path = volume.get("hostPath", {}).get("path", "")
            assert path not in ("/", "/run", "/run/containerd", "/var/run", "/run/k3s/containerd")


@pytest.mark.parametrize("variant", variants(), ids=lambda path: path.name)
def test_every_capability_is_explained(variant: Path) -> None:
    """docs/security.md has a row that says what it buys."""
    rows = re.findall(r"^\| `(?:CAP_)?([A-Z_]+)` \|", SECURITY.read_text(), re.MULTILINE)
    assert set(container(variant)["securityContext"]["capabilities"]["add"]) <= set(rows)


def test_the_settings_are_settings(tmp_path: Path) -> None:
    """The ConfigMap's TOML is what the agent takes; it listens where probes and scrapes come."""
    (config,) = [e for e in rendered(KUBERNETES / "base") if e["kind"] == "ConfigMap"]
    file = tmp_path / "memtrace.toml"
    file.write_text(config["data"]["memtrace.toml"])
    settings = read_settings(file, {})
    assert settings.listen == "0.0.0.0:9435"
    assert {"log_format", "listen"} <= set(tomllib.loads(file.read_text()))
    (port,) = container(KUBERNETES / "base")["ports"]
    assert settings.listen.endswith(f":{port['containerPort']}")


def test_events_take_one_right() -> None:
    """To create Events, and nothing else."""
    variant = KUBERNETES / "overlays" / "events"
    (role,) = [each for each in rendered(variant) if each["kind"] == "ClusterRole"]
    assert role["rules"] == [{"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}]
    assert "--kubernetes-events" in container(variant)["args"]
    assert daemonset(variant)["automountServiceAccountToken"] is True


def test_alerts_come_with_the_operator() -> None:
    """The very rules of deploy/prometheus, which are tested there."""
    written = rendered(KUBERNETES / "overlays" / "prometheus-operator")
    (rule,) = [each for each in written if each["kind"] == "PrometheusRule"]
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yaml").read_text())
    assert rule["spec"] == rules


def test_a_pod_monitor_leaves_labels_alone() -> None:
    """A series keeps its container's names, and one of the machine does not get the agent's."""
    variant = KUBERNETES / "overlays" / "prometheus-operator"
    (monitor,) = [each for each in rendered(variant) if each["kind"] == "PodMonitor"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True
    emptied = {
        each["targetLabel"] for each in endpoint["relabelings"] if each.get("replacement") == ""
    }
    assert emptied == {"namespace", "pod", "container"}
