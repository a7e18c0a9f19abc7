"""Containers inside containers: kind, minikube, docker in docker. Asks nobody outside of them.

The runtime in there keeps its files in its own /run and /var/lib, often on a tmpfs that only
its own mount namespace shows: they are read through /proc/<pid>/root of the outer container's
first process. Whoever runs inside chose what is written there, so the answer says that it
comes from inside, and the host's runtimes are never asked about a cgroup in there.

One level deep. Nothing is read while a file system in user space is mounted in there, or one of
another machine where runtimes keep their files: opening a file on one could take for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from memtrace.host.files import names_beneath, read_beneath, read_bytes
from memtrace.host.mounts import may_block, read_mounts
from memtrace.host.runtimes import default_runtimes, first_answer, paths
from memtrace.host.runtimes.containerd import STATE_DIRS, TASKS
from memtrace.host.runtimes.storage import stores
from memtrace.samples import Identity

_MAX_NAMES = 64
_PID_LIMIT = 32  # bytes
_CGROUP_LIMIT = 65_536  # bytes of /proc/<pid>/cgroup
_PSEUDO = ("/proc", "/sys")
_PLACES = ("/run", "/var/lib", "/etc")


class Nested:
    """Asks the runtime inside a container about what lies below that container's cgroup."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def identify(self, cgroup_path: str) -> Identity | None:
        """Who is behind a cgroup below a container's; None when that cannot be told."""
        outer = paths.outer_container(cgroup_path)
        known = paths.container(outer) if outer is not None else None
        if outer is None or known is None or paths.container(cgroup_path) is None:
            return None
        inside = cgroup_path[len(outer) :]
        if paths.outer_container(inside) is not None:
            return None
        # The runtime in there sees its own cgroup as the root, or the host's hierarchy as it is.
        for pid in self._first_processes(known.id):
            if self._lives_in(pid, outer) and not self._may_block(pid):
                runtimes = default_runtimes(self._root / f"proc/{pid}/root")
                answer = first_answer(runtimes, inside) or first_answer(runtimes, cgroup_path)
                return answer and replace(answer, resolved_by=f"{answer.resolved_by} inside")
        return None

    def _first_processes(self, container_id: str) -> Iterator[int]:
        """The pid that containerd (docker's, too) and podman noted for a container."""
        for where in self._pid_files(container_id):
            text = (read_beneath(self._root, where, _PID_LIMIT) or b"").strip()
            if text.isdigit():
                yield int(text)

    def _pid_files(self, container_id: str) -> Iterator[str]:
        for state in STATE_DIRS:
            for namespace in names_beneath(self._root, f"{state}/{TASKS}", _MAX_NAMES):
                yield f"{state}/{TASKS}/{namespace}/{container_id}/init.pid"
        for store in stores(self._root, None):
            for name in names_beneath(self._root, store.run, _MAX_NAMES):
                yield f"{store.run}/{name}/{container_id}/userdata/pidfile"

    def _lives_in(self, pid: int, cgroup: str) -> bool:
        """Whether the process is in this cgroup or below: pids are used again."""
        data = read_bytes(self._root / f"proc/{pid}/cgroup", _CGROUP_LIMIT) or b""
        lines = data.decode("utf-8", "surrogateescape").splitlines()
        found = (line.split(":", 2)[-1] for line in lines)
        return any(f"{path}/".startswith(f"{cgroup}/") for path in found)

    def _may_block(self, pid: int) -> bool:
        """Whether a lookup in there may have to wait for a process in there."""
        mounts = read_mounts(self._root / f"proc/{pid}/mountinfo")
        if mounts is None:
            return True
        fuse = (mount.point for mount in mounts if mount.fstype.startswith("fuse"))
        if any(not point.startswith(_PSEUDO) for point in fuse):
            return True  # a link may lead there
        return any(may_block(mounts, place) for place in _PLACES)
