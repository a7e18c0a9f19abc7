"""Containers of CRI-O, from the OCI configurations in its storage. Makes no RPC.

CRI-O writes <store>/<driver>-containers/<id>/userdata/config.json before it starts the
container. The file holds the container's environment: it is never logged or kept.
"""

from __future__ import annotations

import re
from pathlib import Path

from memtrace.host.files import names_beneath, read_beneath
from memtrace.host.runtimes import documents, paths
from memtrace.host.runtimes.documents import Document
from memtrace.host.runtimes.storage import stores
from memtrace.samples import Identity

_CONFIG_LIMIT = 1 << 20  # bytes
_MAX_NAMES = 64  # names in a store's directory
_CRIO = "io.kubernetes.cri-o."
_ID = re.compile(r"[0-9a-f]{64}")


class Crio:
    """Containers and sandboxes by the names Kubernetes gave them."""

    name = "cri-o"

    def __init__(self, root: Path) -> None:
        self._root = root

    def identify(self, cgroup_path: str) -> Identity | None:
        """The container whose id the path carries, or None when CRI-O has no such one."""
        known = paths.container(cgroup_path)
        if known is None or known.runtime != self.name or paths.user_id(cgroup_path) is not None:
            return None
        annotations = self._annotations(known.id)
        return None if annotations is None else self._identity(annotations, known.id)

    def _annotations(self, container_id: str) -> Document | None:
        """Of the container's configuration, wherever it is; None when there is none."""
        for store in stores(self._root, None):
            for directory in reversed(store):  # the one in /run is there first
                for name in names_beneath(self._root, directory, _MAX_NAMES):
                    if name.endswith("-containers"):
                        where = f"{directory}/{name}/{container_id}/userdata/config.json"
                        data = read_beneath(self._root, where, _CONFIG_LIMIT)
                        if data is not None:
                            return documents.part(documents.parse_object(data), "annotations")
        return None

    def _identity(self, annotations: Document, container_id: str) -> Identity:
        sandbox = _text(annotations, "ContainerType") == "sandbox"
        container = "POD" if sandbox else documents.text(annotations, documents.CONTAINER_NAME)
        pod, namespace = self._pod(annotations)
        return Identity(
            "sandbox" if sandbox else "container",
            container or container_id[:12],
            runtime=self.name,
            namespace=namespace,
            pod=pod,
            container=container,
            image=_text(annotations, "ImageName") or _text(annotations, "Image"),
            resolved_by=self.name,
        )

    def _pod(self, annotations: Document) -> tuple[str | None, str | None]:
        """Name and namespace: from the kubelet's labels, else from the sandbox."""
        name = documents.text(annotations, documents.POD_NAME)
        if name is not None:
            return name, documents.text(annotations, documents.POD_NAMESPACE)
        if _text(annotations, "ContainerType") != "sandbox":
            sandbox = _text(annotations, "SandboxID") or ""
            annotations = (self._annotations(sandbox) if _ID.fullmatch(sandbox) else None) or {}
        return _text(annotations, "KubeName"), _text(annotations, "Namespace")


def _text(annotations: Document, key: str) -> str | None:
    return documents.text(annotations, _CRIO + key)
