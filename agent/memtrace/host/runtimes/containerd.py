"""Containers of containerd, from the OCI bundles in its state directory. Makes no RPC.

/run/containerd/io.containerd.runtime.v2.task/<namespace>/<id>/config.json is there 18 to
30 ms before the cgroup. It holds the container's environment: it is never logged or kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from memtrace.host.files import names_beneath, read_beneath
from memtrace.host.runtimes import documents, paths
from memtrace.host.runtimes.documents import Document
from memtrace.samples import Identity

STATE_DIRS = (
    "run/containerd",
    "run/k3s/containerd",
    "var/snap/microk8s/common/run/containerd",
    "run/docker/containerd/daemon",  # of a dockerd that starts its own
)
TASKS = "io.containerd.runtime.v2.task"
_CONFIG_LIMIT = 1 << 20  # bytes
_MAX_NAMESPACES = 512  # empty ones of clients that are gone stay until the next boot
_CRI = "io.kubernetes.cri."
_KUBERNETES, _DOCKER = "k8s.io", "moby"
# containerd's own rule for identifiers of namespaces and containers.
_IDENTIFIER = re.compile(r"(?=.{1,76}\Z)[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")


class Containerd:
    """CRI pods, containers of ctr, and, without their names, those of docker."""

    name = "containerd"

    def __init__(self, root: Path, state_dirs: tuple[str, ...] = STATE_DIRS) -> None:
        self._root = root
        self._state_dirs = state_dirs

    def identify(self, cgroup_path: str) -> Identity | None:
        """The container whose bundle claims this very cgroup, or None."""
        if paths.user_id(cgroup_path) is not None:
            return None  # a user's manager may name a cgroup as it likes
        path = cgroup_path.removesuffix("/container")
        by_name = paths.container(path) is not None
        for directory, namespace, container_id in self._candidates(path):
            config = self._config(f"{directory}/{namespace}/{container_id}")
            if config is not None and _claims(config, path, default=by_name):
                return self._identity(directory, namespace, container_id, config)
        return None

    def _candidates(self, path: str) -> Iterator[tuple[str, str, str]]:
        """Bundles that could be this cgroup's: by 64 digits anywhere, or as /namespace/id."""
        directories = [f"{state}/{TASKS}" for state in self._state_dirs]
        known = paths.container(path)
        if known is not None:
            for directory in directories:
                for namespace in self._namespaces(directory):
                    yield directory, namespace, known.id
            return
        *_, namespace, container_id = ("", *path.split("/"))
        if _IDENTIFIER.fullmatch(namespace) and _IDENTIFIER.fullmatch(container_id):
            for directory in directories:
                yield directory, namespace, container_id

    def _namespaces(self, directory: str) -> list[str]:
        """All there are; the usual ones first, and also when there are too many to list."""
        names = names_beneath(self._root, directory, _MAX_NAMESPACES)
        found = {name for name in names if _IDENTIFIER.fullmatch(name)}
        usual = (_KUBERNETES, _DOCKER) if names else ()
        return [*usual, *sorted(found.difference(usual))]

    def _config(self, bundle: str) -> Document | None:
        data = read_beneath(self._root, f"{bundle}/config.json", _CONFIG_LIMIT)
        return None if data is None else documents.parse_object(data)

    def _identity(
        self, directory: str, namespace: str, container_id: str, config: Document
    ) -> Identity:
        if _text(config, "container-type") is not None:
            return self._cri_identity(f"{directory}/{namespace}", config)
        if namespace == _DOCKER:
            short = container_id[:12]
            return Identity("container", short, runtime="docker", resolved_by=self.name)
        return Identity(
            "container",
            container_id,
            runtime=self.name,
            container=container_id,
            resolved_by=self.name,
        )

    def _cri_identity(self, directory: str, config: Document) -> Identity:
        sandbox = _text(config, "container-type") == "sandbox"
        container = "POD" if sandbox else _text(config, "container-name")
        pod_config = self._pod_config(directory, config)
        return Identity(
            "sandbox" if sandbox else "container",
            container or "unnamed",
            runtime=self.name,
            namespace=_text(pod_config, "sandbox-namespace"),
            pod=_text(pod_config, "sandbox-name"),
            container=container,
            image=_text(config, "image-name"),
            resolved_by=self.name,
        )

    def _pod_config(self, directory: str, config: Document) -> Document:
        """The bundle that names the pod: older CRI plugins write that into the sandbox's only."""
        sandbox = _text(config, "sandbox-id")
        if _text(config, "sandbox-name") is not None or sandbox is None:
            return config
        known = _IDENTIFIER.fullmatch(sandbox) is not None
        return (self._config(f"{directory}/{sandbox}") if known else None) or config


def _text(config: Document, annotation: str) -> str | None:
    """A CRI annotation, or None when absent, empty, too long or not printable."""
    return documents.text(documents.part(config, "annotations"), _CRI + annotation)


def _claims(config: Document, path: str, default: bool) -> bool:
    """Whether the bundle says it lives in this cgroup; `default` when it does not say."""
    wanted = documents.part(config, "linux").get("cgroupsPath")
    if not isinstance(wanted, str) or not wanted:
        return default
    parts = wanted.split(":")
    if len(parts) == 3 and not wanted.startswith("/"):  # systemd driver: slice:prefix:name
        return path.endswith(f"/{parts[1]}-{parts[2]}.scope")
    return path.endswith("/" + wanted.strip("/"))
