"""One workload's surroundings: a cgroup, a directory on disk and the compiled workloads."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.files import cold_file
from tests.kernel.harness.memtrace import Memtrace
from tests.kernel.harness.quiet import Quiet, settle
from tests.kernel.harness.workloads import Workloads

Result = TypeVar("Result")


@dataclass(frozen=True)
class Room:
    """A cgroup of its own and a directory of its own."""

    cgroup: Cgroup
    directory: Path
    workloads: Workloads

    def path(self, name: str) -> Path:
        """A path in this room's directory."""
        return self.directory / name

    def cold(self, name: str, pages: int) -> Path:
        """A file of so many pages that nobody has in the cache."""
        return cold_file(self.path(name), pages)

    def run(self, workload: str, *arguments: object) -> int:
        """Run a workload in the cgroup to its end and return its pid."""
        return self.cgroup.run(self.workloads[workload], *map(str, arguments))

    def start(self, workload: str, *arguments: object) -> subprocess.Popen[bytes]:
        """Start a workload in the cgroup."""
        return self.cgroup.start(self.workloads[workload], *map(str, arguments))

    def hold(self, workload: str, *arguments: object) -> subprocess.Popen[bytes]:
        """Run a workload that stays alive, holding what it cached, until the room closes."""
        return self.cgroup.hold(self.workloads[workload], *map(str, arguments))


class Rooms:
    """Opens rooms and closes them all at the end."""

    def __init__(self, directory: Path, workloads: Workloads) -> None:
        """Keep every room's files below `directory`."""
        self._directory = directory
        self._workloads = workloads
        self._open = ExitStack()
        self._cgroups: list[Cgroup] = []

    def __enter__(self) -> Rooms:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def open(self, label: str, parent: Cgroup | None = None) -> Room:
        """Open a room: its cgroup is named after `label`."""
        directory = self._directory / label
        directory.mkdir(parents=True)
        cgroup = self._open.enter_context(Cgroup(label, parent))
        self._cgroups.append(cgroup)
        return Room(cgroup, directory, self._workloads)

    def settle(self, memtrace: Memtrace, *others: Cgroup) -> Quiet:
        """Wait until all is quiet; return a snapshot with the kernel's figures of every room."""
        cgroups = [each for each in (*self._cgroups, *others) if each.directory.exists()]
        files = [path for path in self._directory.rglob("*") if path.is_file()]
        return settle(memtrace, cgroups, files)

    def act_all(self, acts: dict[str, Callable[[Room], Result]]) -> dict[str, tuple[Room, Result]]:
        """Run every act in a room of its own, side by side, and return what each expects."""
        rooms = {label: self.open(label) for label in acts}
        with ThreadPoolExecutor(max_workers=4) as pool:
            results = {label: pool.submit(acts[label], rooms[label]) for label in acts}
        return {label: (rooms[label], results[label].result()) for label in acts}
