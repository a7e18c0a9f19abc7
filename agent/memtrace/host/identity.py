"""Who is behind each cgroup: asks the runtimes once, remembers, and never drops an unknown one.

Reads no file itself. Has no clock: the caller decides when to ask again. What lies below a
container belongs to whoever runs in there, and only they are asked about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from memtrace.host.runtimes import Runtime, default_runtimes, first_answer, paths
from memtrace.host.runtimes.nested import Nested
from memtrace.host.tombstones import Tombstones
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
    __slots__ = ("attempts", "identity", "learned", "path")

    def __init__(self, path: str, identity: Identity) -> None:
        self.path = path
        self.identity = identity
        self.attempts = 1
        self.learned = 0  # how much was known of pods when it was told last


class Resolver:
    """Identities by cgroup id. Ask for every cgroup at every sample: a known one is a lookup.

    The answer for one id may improve: a pod is named by its first child, a container once
    its bundle is there.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        runtimes: Sequence[Runtime] | None = None,
        tombstones: Tombstones | None = None,
    ) -> None:
        self._runtimes = default_runtimes(root) if runtimes is None else tuple(runtimes)
        self._nested = Nested(root)
        self._tombstones = tombstones
        self._entries: dict[int, _Entry] = {}
        self._containers: dict[str, int] = {}
        self._pods: dict[str, _Pod] = {}
        self._learned = 0

    def resolve(self, cgroup_id: int, path: str, removed: bool = False) -> Identity:
        """Who is behind the cgroup as far as is known now; at most 10 tries per container.

        Of a removed one the tombstone is asked first: its name may belong to another by now.
        """
        entry = self._entries.get(cgroup_id)
        if entry is not None and entry.path == path:
            if not self.needs_retry(cgroup_id):
                return self._with_pod(cgroup_id, entry)
            entry.attempts += 1
            entry.identity = self._identify(cgroup_id, path, removed)
        else:
            entry = _Entry(path, self._identify(cgroup_id, path, removed))
            self._entries[cgroup_id] = entry
        self._learn(cgroup_id, entry)
        return self._with_pod(cgroup_id, entry)

    def news(self, cgroup_id: int, told: Identity) -> bool:
        """Whether `resolve` may tell something else than it told, of the same path."""
        entry = self._entries.get(cgroup_id)
        if entry is None or entry.identity is not told or entry.learned != self._learned:
            return True
        return self.needs_retry(cgroup_id)

    def recall(self, cgroup_id: int, path: str) -> Identity:
        """Who was behind a cgroup that may be gone and forgotten by now; remembers nothing."""
        entry = self._entries.get(cgroup_id)
        if entry is not None and entry.path == path:
            return self._with_pod(cgroup_id, entry)
        return self._identify(cgroup_id, path, removed=True)

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
            self._pods.pop(entry.path, None)

    def _identify(self, cgroup_id: int, path: str, removed: bool) -> Identity:
        buried = self._tombstones.identity(cgroup_id) if removed and self._tombstones else None
        return self._ask_all(path) if buried is None else buried

    def _ask_all(self, path: str) -> Identity:
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
        """The runtimes of the host, or, about what lies below a container, the one in there."""
        if paths.outer_container(path) is not None:
            return self._nested.identify(path)
        return first_answer(self._runtimes, path)

    def _below_container(self, path: str) -> bool:
        """What lies inside a container is its own affair, even when it looks like a unit."""
        above = paths.ancestors(path)
        return any(a in self._containers or paths.container(a) is not None for a in above)

    def _learn(self, cgroup_id: int, entry: _Entry) -> None:
        """Remember where containers are, the name of the pod around this one, and for later."""
        identity = entry.identity
        if identity.kind not in _CONTAINERS:
            return
        self._containers[entry.path] = cgroup_id
        self._remember(cgroup_id, entry)
        pod = paths.pod_path(entry.path)
        if pod is None or identity.pod is None:
            return
        if len(self._pods) >= _MAX_PODS and pod not in self._pods:
            del self._pods[next(iter(self._pods))]
        told = _Pod(identity.pod, identity.namespace, identity.runtime, identity.resolved_by)
        if self._pods.get(pod) != told:
            self._pods[pod] = told
            self._learned += 1

    def _with_pod(self, cgroup_id: int, entry: _Entry) -> Identity:
        """The identity, completed once by what siblings or children taught about the pod."""
        identity, entry.learned = entry.identity, self._learned
        if identity.pod is not None or identity.kind not in ("pod", *_CONTAINERS):
            return identity
        pod = self._pods.get(paths.pod_path(entry.path) or "")
        if pod is not None:
            entry.identity = _named_after(identity, pod)
            self._remember(cgroup_id, entry)
        return entry.identity

    def _remember(self, cgroup_id: int, entry: _Entry) -> None:
        """Keep what somebody told for the time after the cgroup's removal."""
        if self._tombstones is not None and entry.identity.resolved_by != "path":
            self._tombstones.remember(cgroup_id, entry.path, entry.identity)


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
