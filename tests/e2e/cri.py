"""A real containerd with its CRI plugin, asked as a kubelet asks: pods over gRPC.

It has mounts of its own, with a /run/containerd of its own: the machine's may be taken (but in a
guest, whose systemd makes the cgroups). Messages are written by hand, as dictionaries of field
numbers (k8s.io/cri-api, runtime/v1/api.proto): what is generated from it is 50 times larger.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc

from tests.e2e.pod_cgroups import SYSTEMD, TOP, pod_parent
from tests.e2e.runtimes import needed
from tests.kernel.harness.cgroup import remove_cgroups
from tests.kernel.harness.containerd import IMAGE, write_image
from tests.outcomes import unavailable
from tests.patience import PATIENCE

STATE = Path("/run/containerd")
CNI_PROGRAMS = Path("/usr/lib/cni")
NODE = 2  # NamespaceMode: the host's
SHARED_WITH_HOST = {2: NODE}  # NamespaceOption.pid
NET = "10.87.0"
"""The first three numbers of the pods' addresses."""
GATEWAY = f"{NET}.1"
"""Where pods find this machine."""
PRIVATE = ("unshare", "--mount", "--propagation", "private")
# Private first: where systemd has made / shared, the machine would get this mount, too.
OWN_STATE = f"mount --make-rshared / && mkdir -p {STATE} && mount -t tmpfs memtrace {STATE}"
NETWORK = {
    "cniVersion": "0.4.0",
    "name": "memtrace-test",
    "plugins": [
        {
            "type": "ptp",
            "ipam": {"type": "host-local", "subnet": "{net}.0/24", "dataDir": "{data}"},
        }
    ],
}
CONFIG = """version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = {restricted}
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    SystemdCgroup = {systemd}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{programs}"
    conf_dir = "{directory}/cni"
"""
PREPARED = os.environ.get("MEMTRACE_CONTAINERD_ROOT")
"""Where all images are unpacked already: that would take an emulated machine ten minutes."""
CAP_SYS_RESOURCE = 24
Message = dict[int, Any]


class Cri:
    """containerd on a socket of its own, and the pods made through it; all gone on exit."""

    def __init__(self, directory: Path, net: str = NET) -> None:
        """Keep everything below `directory`, on a disk; the pods' addresses begin with `net`."""
        self._directory = directory
        self._net = net
        self._socket = directory / "containerd.sock"
        self._sandboxes: dict[str, Message] = {}

    def __enter__(self) -> Cri:
        needed("containerd", "ctr", "runc", "busybox", "unshare")
        if not (CNI_PROGRAMS / "ptp").exists():
            unavailable(f"{CNI_PROGRAMS} has no ptp: containernetworking-plugins is not installed")
        self._write_config()
        command: list[str | Path] = []
        if not SYSTEMD:
            command += [*PRIVATE, "sh", "-c", f'{OWN_STATE} && exec "$@"', "sh"]
        command += ["containerd", "-c", self._directory / "config.toml"]
        command += ["--root", PREPARED or self._directory / "root"]
        command += ["--state", STATE, "-a", self._socket]
        with open(self._directory / "log", "wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._channel = grpc.insecure_channel(f"unix://{self._socket}")
        try:
            self._wait_until_ready()
            if PREPARED is None:
                write_image(self._directory / "image.tar", command=("/bin/sleep", "100000"))
                self.load(self._directory / "image.tar")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for sandbox in self._sandboxes:
            self.call("StopPodSandbox", {1: sandbox})
            self.call("RemovePodSandbox", {1: sandbox})
        self._channel.close()
        self._process.terminate()
        self._process.wait(timeout=30)
        remove_cgroups(TOP)

    def load(self, archive: Path) -> None:
        """Have the images of an archive, as after a pull."""
        ctr = ["ctr", "-a", self._socket, "-n", "k8s.io", "images", "import", archive]
        subprocess.run(ctr, check=True, capture_output=True, timeout=120 * PATIENCE)

    def run_pod(self, namespace: str, name: str, uid: str, linux: Message | None = None) -> str:
        """Start a pod's sandbox in a cgroup as a kubelet names it; its id."""
        linux = {1: pod_parent(uid), **(linux or {})}
        of_host = linux.get(2, {}).get(1, {}).get(1) == NODE
        logs = self.logs(namespace, name, uid)
        config: Message = {
            1: {1: name, 2: uid, 3: namespace},
            2: "" if of_host else name,
            3: str(logs),
            8: linux,
        }
        answer = self.call("RunPodSandbox", {1: config})
        sandbox = answer[1].decode()
        self._sandboxes[sandbox] = config
        return sandbox

    def run_container(self, sandbox: str, config: Message) -> str:
        """Create and start a container of a pod; its id."""
        asked = {1: sandbox, 2: config, 3: self._sandboxes[sandbox]}
        container = self.call("CreateContainer", asked)[1].decode()
        self.call("StartContainer", {1: container})
        return container

    def execute(self, container: str, *command: str) -> str:
        """What a command in a container prints, as kubectl exec shows it."""
        answer = self.call("ExecSync", {1: container, 2: list(command), 3: 60})
        assert answer.get(3, 0) == 0, answer.get(2, b"").decode()
        return str(answer.get(1, b"").decode())

    def address(self, sandbox: str) -> str:
        """The pod's own IP address."""
        status = decoded(self.call("PodSandboxStatus", {1: sandbox})[1])
        return str(decoded(status[5])[1].decode())

    def specification(self, container: str) -> dict[str, Any]:
        """What runc was told to start (OCI runtime specification)."""
        state = Path(f"/proc/{self._process.pid}/root{STATE}")  # with its mounts
        bundle = state / "io.containerd.runtime.v2.task" / "k8s.io" / container / "config.json"
        written: dict[str, Any] = json.loads(bundle.read_text())
        return written

    def logs(self, namespace: str, name: str, uid: str) -> Path:
        """Where a pod's logs go, as below /var/log/pods."""
        return self._directory / "logs" / f"{namespace}_{name}_{uid}"

    def call(self, method: str, message: Message) -> Message:
        """One call of the RuntimeService; the answer's fields by number, nested ones as bytes."""
        asked = self._channel.unary_unary(f"/runtime.v1.RuntimeService/{method}")
        return decoded(asked(encoded(message), timeout=60 * PATIENCE))

    def _write_config(self) -> None:
        self._directory.mkdir()
        (self._directory / "cni").mkdir()
        network = json.dumps(NETWORK).replace("{data}", str(self._directory / "addresses"))
        network = network.replace("{net}", self._net)
        (self._directory / "cni" / "10-test.conflist").write_text(network)
        config = CONFIG.format(
            image=IMAGE,
            restricted=str(not may_lower_scores()).lower(),
            systemd=str(SYSTEMD).lower(),
            programs=CNI_PROGRAMS,
            directory=self._directory,
        )
        (self._directory / "config.toml").write_text(config)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + 30 * PATIENCE
        while True:
            try:
                self.call("Version", {})
                return
            except grpc.RpcError:
                said = (self._directory / "log").read_text()
                assert time.monotonic() < deadline, said
                assert self._process.poll() is None, said
                time.sleep(0.1)


def encoded(message: Mapping[int, Any]) -> bytes:
    """A message in protobuf's encoding: numbers, texts, messages, and lists of them."""
    return b"".join(
        _field(number, value)
        for number, values in message.items()
        for value in (values if isinstance(values, list) else [values])
    )


def decoded(data: bytes) -> Message:
    """The fields of a message; of repeated ones the last."""
    fields: Message = {}
    while data:
        key, data = _read_number(data)
        if key & 7 == 0:
            fields[key >> 3], data = _read_number(data)
        else:
            assert key & 7 == 2, key
            size, data = _read_number(data)
            fields[key >> 3], data = data[:size], data[size:]
    return fields


def _field(number: int, value: Any) -> bytes:
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    content = value.encode() if isinstance(value, str) else encoded(value)
    return _number(number << 3 | 2) + _number(len(content)) + content


def _number(value: int) -> bytes:
    written = bytearray()
    value &= (1 << 64) - 1  # negative ones are two's complement
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def _read_number(data: bytes) -> tuple[int, bytes]:
    value = shift = index = 0
    while True:
        value |= (data[index] & 0x7F) << shift
        index, shift = index + 1, shift + 7
        if not data[index - 1] & 0x80:
            return value, data[index:]


def may_lower_scores() -> bool:
    """Whether oom_score_adj may be made less here, as a kubelet does for critical pods."""
    lines = Path("/proc/self/status").read_text().splitlines()
    held = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    return bool(held >> CAP_SYS_RESOURCE & 1)
