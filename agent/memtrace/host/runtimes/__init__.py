"""One reader per container runtime: a cgroup path in, who it belongs to out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from memtrace.samples import Identity


class Runtime(Protocol):
    """Names the cgroups of one runtime from files on disk, without asking a daemon."""

    @property
    def name(self) -> str:
        """What `resolved_by` shows."""

    def identify(self, cgroup_path: str) -> Identity | None:
        """Who is behind the path; None when it is not this runtime's or not known (yet).

        A container whose name is not known has `container=None` and is asked for again.
        Never raises and takes well below a millisecond: it runs when a cgroup is born.
        """


def default_runtimes(root: Path) -> tuple[Runtime, ...]:
    """Every reader, the one that knows most first."""
    from memtrace.host.runtimes.containerd import Containerd
    from memtrace.host.runtimes.crio import Crio
    from memtrace.host.runtimes.docker import Docker
    from memtrace.host.runtimes.podman import Podman
    from memtrace.host.runtimes.systemd import Systemd

    return (Containerd(root), Docker(root), Podman(root), Crio(root), Systemd())


def first_answer(runtimes: Iterable[Runtime], cgroup_path: str) -> Identity | None:
    """The first answer that names a container, else the first answer."""
    first = None
    for runtime in runtimes:
        answer = runtime.identify(cgroup_path)
        if answer is None:
            continue
        if answer.container is not None:
            return answer
        first = first or answer
    return first
