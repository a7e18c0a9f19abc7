"""What a cgroup path alone says: container id, pod uid, QoS class. Opens no file."""

from __future__ import annotations

import re
from typing import NamedTuple

_HEX_ID = re.compile(
    r"(?:^|/)(?:(cri-containerd|crio|docker|libpod)-)?([0-9a-f]{64})(?:\.scope)?(?:/container)?\Z"
)
_POD = re.compile(
    r"(?:[a-z0-9_.-]{0,64}kubepods-(?:(?:burstable|besteffort)-)?)?"
    r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?"
)
_QOS = re.compile(r"/(?:[a-z0-9_.-]{0,64}kubepods-)?(burstable|besteffort)(?:\.slice)?(?=/|$)")
_USER = re.compile(r"/user@([0-9]{1,10})\.service(?=/|$)")
_IN_PODS = re.compile(r"kubepods(?:\.slice)?/")
_PODMAN_PODS = "libpod_parent"  # with the cgroupfs driver a pod of podman is a bare id here
_RUNTIMES = {
    "cri-containerd": "containerd",
    "crio": "cri-o",
    "docker": "docker",
    "libpod": "podman",
}


class ContainerRef(NamedTuple):
    """A container named by a path; `runtime` is None when the path does not tell."""

    id: str
    runtime: str | None


def container(path: str) -> ContainerRef | None:
    """The container that this very cgroup is, or None; conmon scopes are not containers."""
    tail = "/".join(path.rsplit("/", 3)[-2:])
    match = _HEX_ID.search(tail)
    if match is None or (match[1] is None and path.endswith(f"/{_PODMAN_PODS}/{match[2]}")):
        return None
    prefix = match[1] or ("docker" if path.startswith("/docker/") else "")
    return ContainerRef(match[2], _RUNTIMES.get(prefix))


def pod_uid(path: str) -> str | None:
    """The uid of the innermost pod the path lies in, with dashes as Kubernetes writes it."""
    for part in reversed(path.split("/")):
        match = _POD.fullmatch(part)
        if match is not None:
            return match[1].replace("_", "-")
    return None


def pod_path(path: str) -> str | None:
    """The cgroup of the innermost pod the path lies in, or that it is."""
    parts = path.split("/")
    for end in range(len(parts), 0, -1):
        if _POD.fullmatch(parts[end - 1]) is not None:
            return "/".join(parts[:end])
    return None


def outer_container(path: str) -> str | None:
    """The cgroup of the outermost container that `path` lies below, or None.

    What is there belongs to whoever runs inside that container, a cluster for instance.
    crun's `<id>.scope/container` is the container itself.
    """
    for above in reversed(ancestors(path)):
        if container(above) is not None and path != f"{above}/container":
            return above
    return None


def user_id(path: str) -> int | None:
    """The user whose service manager made this cgroup, None for the system's."""
    match = _USER.search(path)
    return None if match is None else int(match[1])


def is_pod(path: str) -> bool:
    """Whether this very cgroup is a pod's."""
    return _POD.fullmatch(path.rpartition("/")[2]) is not None


def qos(path: str) -> str | None:
    """Guaranteed, Burstable or BestEffort for anything inside a pod, else None."""
    if pod_uid(path) is None or _IN_PODS.search(path) is None:
        return None
    match = _QOS.search(path)
    if match is None:
        return "Guaranteed"
    return {"burstable": "Burstable", "besteffort": "BestEffort"}[match[1]]


def ancestors(path: str) -> list[str]:
    """Every cgroup above this one except the root, innermost first."""
    found = []
    while path := path.rpartition("/")[0]:
        found.append(path)
    return found
