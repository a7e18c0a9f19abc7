"""A cgroup that is a container of a pod for whoever reads containerd's state; gone on exit.

Nobody runs containerd for it: its bundle's config.json is written by hand, as CRI's is.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from pathlib import Path

from tests.kernel.harness.cgroup import IS_V1, Cgroup

TASKS = Path("/run/containerd/io.containerd.runtime.v2.task")
NAMESPACE = "shop"
CPU = Path("/sys/fs/cgroup/cpu") if IS_V1 else None


class PodContainer:
    """The container `app` of a pod; its cgroup is `cgroup`. `cpus`: its quota."""

    def __init__(self, pod: str, parent: Cgroup, limit: int, cpus: float | None = None) -> None:
        digest = hashlib.sha256(f"{parent.path}/{pod}".encode()).hexdigest()
        uid = digest[:32]
        self.pod = pod
        self._around = Cgroup(f"pod{uid}", parent)
        self.cgroup = Cgroup(digest, self._around)
        self._limit, self._cpus = limit, cpus
        self._bundle = TASKS / "k8s.io" / digest
        self._made: list[Path] = []
        self._quotas: list[Path] = []

    def __enter__(self) -> PodContainer:
        above = self._bundle.parent
        self._made = [each for each in (above, *above.parents) if not each.exists()]
        self._bundle.mkdir(parents=True)
        names = {
            "container-type": "container",
            "container-name": "app",
            "image-name": "registry.example/app:1",
            "sandbox-name": self.pod,
            "sandbox-namespace": NAMESPACE,
        }
        annotations = {f"io.kubernetes.cri.{key}": value for key, value in names.items()}
        config = {"annotations": annotations, "linux": {"cgroupsPath": self.cgroup.path}}
        (self._bundle / "config.json").write_text(json.dumps(config))
        self._around.__enter__()
        self.cgroup.__enter__()
        self.cgroup.limit(self._limit)
        self._set_quota()
        return self

    def __exit__(self, *_: object) -> None:
        self.cgroup.__exit__()
        self._around.__exit__()
        for quota in reversed(self._quotas):
            quota.rmdir()
        self.forget()

    def forget(self) -> None:
        """Remove the bundle, as containerd does when a container ends."""
        shutil.rmtree(self._bundle, ignore_errors=True)
        for directory in self._made:
            with suppress(OSError):  # somebody else uses it by now
                directory.rmdir()

    def bind(self, pid: int) -> None:
        """Let the quota hold for a process of the container, too."""
        if CPU is not None and self._quotas:
            (self._quotas[-1] / "cgroup.procs").write_text(str(pid))

    def _set_quota(self) -> None:
        """On version 1 in a cgroup of the cpu hierarchy, which processes have to `bind` to."""
        if self._cpus is None:
            return
        if CPU is None:
            (self.cgroup.directory / "cpu.max").write_text(f"{int(self._cpus * 100_000)} 100000")
            return
        place = CPU / self.cgroup.path.lstrip("/")
        self._quotas = [each for each in (*reversed(place.parents), place) if not each.exists()]
        place.mkdir(parents=True)
        (place / "cpu.cfs_quota_us").write_text(str(int(self._cpus * 100_000)))
