"""Containers of docker, from the files its daemon keeps of each of them. Makes no RPC.

<data root>/containers/<id>/config.v2.json is there about 100 ms before the cgroup (docker
20.10). It holds the container's environment: it is never logged or kept.
"""

from __future__ import annotations

from pathlib import Path

from memtrace.host.files import read_beneath
from memtrace.host.runtimes import documents, paths
from memtrace.host.runtimes.documents import Document
from memtrace.host.runtimes.homes import home
from memtrace.samples import Identity

_DATA_ROOTS = ("var/lib/docker", "var/snap/docker/common/var-lib-docker")
_SETTINGS = "etc/docker/daemon.json"
_CONFIG_LIMIT = 1 << 20  # bytes
_TYPE = "io.kubernetes.docker.type"  # of cri-dockerd: podsandbox or container


class Docker:
    """Containers by the name they were given; those of Kubernetes by its names for them."""

    name = "docker"

    def __init__(self, root: Path) -> None:
        self._root = root

    def identify(self, cgroup_path: str) -> Identity | None:
        """The container whose id the path carries, or None when docker knows no such one."""
        known = paths.container(cgroup_path)
        if known is None or known.runtime not in (None, self.name):
            return None
        owner = paths.user_id(cgroup_path)
        for data_root in data_roots(self._root, owner):
            where = f"{data_root}/containers/{known.id}/config.v2.json"
            data = read_beneath(self._root, where, _CONFIG_LIMIT, owner)
            if data is not None:
                return identity_of(data, known.id)
        return None


def data_roots(root: Path, owner: int | None) -> list[str]:
    """Where the system's daemon, or one that a user runs without root, may keep its files."""
    if owner is not None:
        where = home(root, owner)
        return [f"{where}/.local/share/docker"] if where else []
    settings = documents.parse_object(read_beneath(root, _SETTINGS, _CONFIG_LIMIT) or b"")
    moved = documents.text(settings or {}, "data-root")
    return [moved.strip("/"), *_DATA_ROOTS] if moved else [*_DATA_ROOTS]


def identity_of(data: bytes, container_id: str) -> Identity | None:
    """What a config.v2.json says; None when it is none, or of another container."""
    config = documents.parse_object(data)
    if config is None or config.get("ID") != container_id:
        return None
    inner = documents.part(config, "Config")
    image = documents.text(inner, "Image")
    labels = documents.part(inner, "Labels")
    if documents.text(labels, _TYPE) is not None:
        return _kubernetes(labels, image, container_id)
    name = (documents.text(config, "Name") or "").strip("/") or None
    return Identity(
        "container",
        name or container_id[:12],
        runtime=Docker.name,
        container=name,
        image=image,
        resolved_by=Docker.name,
    )


def _kubernetes(labels: Document, image: str | None, container_id: str) -> Identity:
    """A container that cri-dockerd made, by its labels."""
    sandbox = labels[_TYPE] == "podsandbox"
    container = "POD" if sandbox else documents.text(labels, documents.CONTAINER_NAME)
    return Identity(
        "sandbox" if sandbox else "container",
        container or container_id[:12],
        runtime=Docker.name,
        namespace=documents.text(labels, documents.POD_NAMESPACE),
        pod=documents.text(labels, documents.POD_NAME),
        container=container,
        image=image,
        resolved_by=Docker.name,
    )
