"""Who is behind each cgroup: asks the runtimes once, remembers, and never drops an unknown one.

Reads no file itself. Has no clock: the caller decides when to ask again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from memtrace.host.runtimes import Runtime, default_runtimes, paths
from memtrace.samples import Identity

_MAX_ATTEMPTS = 10
_MAX_PODS = 4096
_CONTAINERS = ("container", "sandbox")


class _Pod(NamedTuple):
    """What a child taught about its pod."""

    name: str
    namespace: str | None
    runtime: str | None
    resolved_by: str


class _Entry:
    __slots__ = ("attempts", "identity", "path")

    def __init__(self, path: str, identity: Identity) -> None:
        self.path = path
        self.identity = identity
        self.attempts = 1


class Resolver:
    """Identities by cgroup id. Ask for every cgroup at every sample: a known one is a lookup.

    The answer for one id may improve: a pod is named by its first child, a container once
    its bundle is there.
    """

    def __init__(self, root: Path = Path("/"), runtimes: Sequence[Runtime] | None = None) -> None:
        self._runtimes = default_runtimes(root) if runtimes is None else tuple(runtimes)
        self._entries: dict[int, _Entry] = {}
        self._containers: dict[str, int] = {}
        self._pods: dict[str, _Pod] = {}

    def resolve(self, cgroup_id: int, path: str) -> Identity:
        """Who is behind the cgroup as far as is known now; at most 10 tries per container."""
        entry = self._entries.get(cgroup_id)
        if entry is not None and entry.path == path:
            if not self.needs_retry(cgroup_id):
                return self._with_pod(entry)
            entry.attempts += 1
            entry.identity = self._identify(path)
        else:
            entry = self._entries[cgroup_id] = _Entry(path, self._identify(path))
        self._learn(cgroup_id, entry)
        return self._with_pod(entry)

    def needs_retry(self, cgroup_id: int) -> bool:
        """Whether the name of a container is still unknown and worth another try."""
        entry = self._entries.get(cgroup_id)
        if entry is None:
            return False
        unnamed = entry.identity.kind in _CONTAINERS and entry.identity.container is None
        return unnamed and entry.attempts < _MAX_ATTEMPTS

    def forget(self, cgroup_id: int) -> None:
        """The cgroup and what it left behind are of no interest any more."""
        entry = self._entries.pop(cgroup_id, None)
        if entry is None:
            return
        if self._containers.get(entry.path) == cgroup_id:
            del self._containers[entry.path]
        if entry.identity.kind == "pod":
            self._pods.pop(paths.pod_uid(entry.path) or "", None)

    def _identify(self, path: str) -> Identity:
        if path == "/":
            return Identity("cgroup", "/")
        if paths.is_pod(path):
            return Identity("pod", paths.pod_uid(path) or path)
        answer = self._ask(path)
        if answer is not None and answer.kind in _CONTAINERS:
            return answer
        known = paths.container(path)
        if known is not None:
            return Identity("container", known.id[:12], runtime=known.runtime)
        if answer is not None and not self._below_container(path):
            return answer
        return Identity("cgroup", path.rpartition("/")[2] or path)

    def _ask(self, path: str) -> Identity | None:
        """The first answer that names a container, else the first answer."""
        first = None
        for runtime in self._runtimes:
            answer = runtime.identify(path)
            if answer is None:
                continue
            if answer.container is not None:
                return answer
            first = first or answer
        return first

    def _below_container(self, path: str) -> bool:
        """What lies inside a container is its own affair, even when it looks like a unit."""
        above = paths.ancestors(path)
        return any(a in self._containers or paths.container(a) is not None for a in above)

    def _learn(self, cgroup_id: int, entry: _Entry) -> None:
        """Remember where containers are, and the name of the pod around this one."""
        identity = entry.identity
        if identity.kind not in _CONTAINERS:
            return
        self._containers[entry.path] = cgroup_id
        uid = paths.pod_uid(entry.path)
        if uid is None or identity.pod is None:
            return
        if len(self._pods) >= _MAX_PODS and uid not in self._pods:
            del self._pods[next(iter(self._pods))]
        self._pods[uid] = _Pod(
            identity.pod, identity.namespace, identity.runtime, identity.resolved_by
        )

    def _with_pod(self, entry: _Entry) -> Identity:
        """The identity, completed once by what siblings or children taught about the pod."""
        identity = entry.identity
        if identity.pod is not None or identity.kind not in ("pod", *_CONTAINERS):
            return identity
        pod = self._pods.get(paths.pod_uid(entry.path) or "")
        if pod is not None:
            entry.identity = _named_after(identity, pod)
        return entry.identity


def _named_after(identity: Identity, pod: _Pod) -> Identity:
    runtime = identity.runtime or pod.runtime
    if identity.kind != "pod":
        return replace(identity, namespace=pod.namespace, pod=pod.name, runtime=runtime)
    return replace(
        identity,
        name=pod.name,
        namespace=pod.namespace,
        pod=pod.name,
        runtime=runtime,
        resolved_by=pod.resolved_by,
    )
