"""What a kubelet makes of a pod's manifest: the sandbox and containers that CRI is asked for.

Only what our manifests use; anything else in one is an error here, so that none is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memtrace.service.kubernetes import ACCOUNT
from tests.e2e.cri import NODE, Cri, Message

# pkg/securitycontext/util.go: what /proc and /sys of a container hide, and do not let change.
MASKED = [
    *("/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi"),
    *("/sys/firmware", "/sys/devices/virtual/powercap"),
]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
CRITICAL_SCORE = -997  # pkg/kubelet/qos/policy.go: of pods that are critical to the node
SECCOMP = {"RuntimeDefault": 0, "Unconfined": 1}
PROPAGATION = {"None": 0, "HostToContainer": 1}
UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}

_POD = {
    *("containers", "volumes", "hostPID", "hostNetwork", "priorityClassName"),
    *("serviceAccountName", "automountServiceAccountToken", "tolerations", "nodeSelector"),
}
_CONTAINER = {
    *("name", "image", "args", "env", "ports", "resources", "securityContext", "volumeMounts"),
    *("startupProbe", "livenessProbe", "readinessProbe"),
}
_SECURITY = {
    *("runAsUser", "allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities"),
    *("seccompProfile", "appArmorProfile"),
}


class Pod:
    """A pod of one container, from the manifests `kustomize build` wrote."""

    def __init__(
        self,
        manifests: list[dict[str, Any]],
        directory: Path,
        node: str,
        api: tuple[str, int, Path] = ("127.0.0.1", 9, Path("/nonexistent")),
    ) -> None:
        """`directory`: where its volumes are, as below /var/lib/kubelet/pods.

        `api`: the API server's host and port, and what a pod's account is given.
        """
        (workload,) = [each for each in manifests if each["kind"] == "DaemonSet"]
        self.namespace: str = workload["metadata"]["namespace"]
        self.spec = workload["spec"]["template"]["spec"]
        (self.container,) = self.spec["containers"]
        self._manifests = manifests
        self._directory = directory
        self._api = api
        self._fields = {"spec.nodeName": node}
        _only(self.spec, _POD)
        _only(self.container, _CONTAINER)
        _only(self.container["securityContext"], _SECURITY)

    @property
    def volumes(self) -> dict[str, Path]:
        """Where each volume is on the host; made when it is not there yet."""
        return {volume["name"]: self._volume(volume) for volume in self.spec["volumes"]}

    def start(self, cri: Cri, name: str, uid: str) -> tuple[str, str]:
        """Run it; the ids of its sandbox and its container."""
        namespaces = {1: NODE if self.spec.get("hostNetwork") else 0}
        namespaces |= {2: NODE if self.spec.get("hostPID") else 0}
        sandbox = cri.run_pod(self.namespace, name, uid, {2: {1: namespaces, 9: {1: 0}}})
        return sandbox, cri.run_container(sandbox, self._config(namespaces))

    def _config(self, namespaces: Message) -> Message:
        given = self.container
        return {
            1: {1: given["name"]},
            2: {1: f"localhost/{given['image']}"},
            4: given["args"],
            6: [*self._services(), *({1: e["name"], 2: self._value(e)} for e in given["env"])],
            7: [*self._account(), *(self._mount(mount) for mount in given["volumeMounts"])],
            11: "0.log",
            15: {1: self._resources(), 2: self._security(namespaces)},
        }

    def _resources(self) -> Message:
        critical = self.spec.get("priorityClassName") == "system-node-critical"
        shares = (
            int(self.container["resources"]["requests"]["cpu"].removesuffix("m")) * 1024 // 1000
        )
        limit = _bytes(self.container["resources"]["limits"]["memory"])
        return {3: shares, 4: limit, 5: CRITICAL_SCORE if critical else 1000}

    def _security(self, namespaces: Message) -> Message:
        given = self.container["securityContext"]
        return {
            1: {1: given["capabilities"]["add"], 2: given["capabilities"]["drop"]},
            3: namespaces,
            5: {1: given["runAsUser"]},
            7: int(given["readOnlyRootFilesystem"]),
            11: int(not given["allowPrivilegeEscalation"]),
            13: MASKED,
            14: READ_ONLY,
            15: {1: SECCOMP[given["seccompProfile"]["type"]]},
            16: {1: SECCOMP[given["appArmorProfile"]["type"]]},
        }

    def _services(self) -> list[Message]:
        host, port, _ = self._api
        given = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port)}
        return [{1: name, 2: value} for name, value in given.items()]

    def _account(self) -> list[Message]:
        """What a pod gets that may speak with the API server; ours say whether they want it."""
        wanted = self.spec.get("automountServiceAccountToken", False)
        return [{1: str(ACCOUNT), 2: str(self._api[2]), 3: 1}] if wanted else []

    def _mount(self, mount: dict[str, Any]) -> Message:
        read_only = int(mount.get("readOnly", False))
        volume, how = (
            self.volumes[mount["name"]],
            PROPAGATION[mount.get("mountPropagation", "None")],
        )
        return {1: mount["mountPath"], 2: str(volume), 3: read_only, 5: how}

    def _value(self, variable: dict[str, Any]) -> str:
        if "value" in variable:
            return str(variable["value"])
        return self._fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]

    def _volume(self, volume: dict[str, Any]) -> Path:
        if "hostPath" in volume:
            return Path(volume["hostPath"]["path"])
        path = self._directory / volume["name"]
        path.mkdir(parents=True, exist_ok=True)
        for name, content in self._config_map(volume.get("configMap")).items():
            (path / name).write_text(content)
        return path

    def _config_map(self, reference: dict[str, str] | None) -> dict[str, str]:
        found = [
            each["data"]
            for each in self._manifests
            if reference and each["kind"] == "ConfigMap"
            if each["metadata"]["name"] == reference["name"]
        ]
        return found[0] if reference else {}


def _only(given: dict[str, Any], known: set[str]) -> None:
    unknown = set(given) - known
    assert not unknown, f"this test does not know what {unknown} would do"


def _bytes(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]
