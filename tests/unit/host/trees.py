"""Fixture trees: a host's /proc, /sys/fs/cgroup and /run built below a temporary directory."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

FIXTURES = Path(__file__).parents[2] / "fixtures" / "host"
SANDBOX = "a1" * 32
POSTGRES = "b2" * 32
UID = "0b7d9f46-5c2c-4c55-9d0e-0a8f7a1c2d3e"
POD = f"/kubepods/burstable/pod{UID}"
TASKS = "run/containerd/io.containerd.runtime.v2.task"
WEB = "52d370e4cd0e939c09862549a2691a0da6a49c7ac4a86371e8f88148fa942c51"
"""The container of docker_container.json."""
PODMAN_WEB = "34d279f21c39fbfbbb1b41ae23694968e0cbb18547e91992a62507806eba7c12"
"""The container pweb of podman_containers.json."""
CRIO, CRIO_SANDBOX = "c3" * 32, "d4" * 32
DOCKER = "var/lib/docker"
STORE = "var/lib/containers/storage"
PASSWD = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\n"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)
"""Any JSON value."""

V1_FILES = {
    "memory.usage_in_bytes": "370327552\n",
    "memory.limit_in_bytes": "536870912\n",
    "memory.kmem.usage_in_bytes": "23101440\n",
    "memory.memsw.limit_in_bytes": "805306368\n",
    "memory.kmem.tcp.usage_in_bytes": "8192\n",
    "memory.kmem.tcp.limit_in_bytes": "9223372036854771712\n",
}
V2_FILES = {
    "memory.current": "370327552\n",
    "memory.max": "536870912\n",
    "memory.swap.current": "12288\n",
    "memory.swap.max": "268435456\n",
    "cgroup.subtree_control": "cpu memory pids\n",
    "cgroup.controllers": "cpu memory pids\n",
}


def text(name: str) -> str:
    """A captured file."""
    return (FIXTURES / name).read_text()


def write(root: Path, relative: str, content: str) -> Path:
    """Create a file below `root` with its directories."""
    path = root / relative.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def host(root: Path, mode: str, cgroups: tuple[str, ...] = ()) -> Path:
    """A host of mode v1, v2 or hybrid; returns the mount of its memory hierarchy."""
    write(root, "proc/self/mountinfo", text(f"mountinfo_{mode}.txt"))
    write(root, "proc/cgroups", text("cgroups_v1.txt"))
    mount = root / ("sys/fs/cgroup" if mode == "v2" else "sys/fs/cgroup/memory")
    mount.mkdir(parents=True)
    if mode == "hybrid":
        (root / "sys/fs/cgroup/unified").mkdir()
    for path in ("/", *cgroups):
        cgroup(mount, path, mode)
    return mount


def cgroup(mount: Path, path: str, mode: str) -> Path:
    """One cgroup with all its files; the root of v2 has fewer, as in the kernel."""
    directory = mount / path.lstrip("/")
    files = dict(V2_FILES if mode == "v2" else V1_FILES)
    if mode == "v2" and path == "/":
        files = {name: value for name, value in files.items() if name.startswith("cgroup.")}
    files["memory.stat"] = text("memory_stat_v2.txt" if mode == "v2" else "memory_stat_v1.txt")
    for name, content in files.items():
        write(directory, name, content)
    return directory


def bundle(root: Path, namespace: str, container_id: str, config: str) -> Path:
    """A containerd bundle with this config.json."""
    return write(root, f"{TASKS}/{namespace}/{container_id}/config.json", config)


def pod(root: Path) -> None:
    """The bundles of pod shop/pg-0: its sandbox and its container postgres."""
    bundle(root, "k8s.io", SANDBOX, text("config_cri_sandbox.json"))
    bundle(root, "k8s.io", POSTGRES, text("config_cri_container.json"))


def docker(root: Path, container_id: str, config: str, data_root: str = DOCKER) -> Path:
    """What docker keeps of a container."""
    return write(root, f"{data_root}/containers/{container_id}/config.v2.json", config)


def podman(root: Path, store: str = STORE, name: str = "containers.json") -> Path:
    """A list of podman's containers."""
    return write(root, f"{store}/overlay-containers/{name}", text("podman_containers.json"))


def crio(root: Path, container_id: str, config: str, store: str = STORE) -> Path:
    """What CRI-O keeps of a container."""
    return write(root, f"{store}/overlay-containers/{container_id}/userdata/config.json", config)
