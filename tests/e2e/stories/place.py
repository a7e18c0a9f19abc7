"""A container as small as it gets: a cgroup with a memory limit and a CPU quota; its programs.

Works on cgroup v1, hybrid and v2. Judges nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.kernel.harness.cgroup import IS_V1, ROOT, Cgroup, remove_directory

_CPU_ROOT = Path("/sys/fs/cgroup/cpu")
_PERIOD = 100_000  # microseconds
_ENTER_BOTH = 'echo 0 > "$0/cgroup.procs" && echo 0 > "$1/cgroup.procs" && shift && exec "$@"'


class Place(Cgroup):
    """A cgroup as a test's own; on version 1 its CPU quota is beside it, under the same path."""

    def quota(self, cpus: float) -> None:
        """Let it use so many CPUs at most."""
        if not IS_V1:
            (ROOT / "cgroup.subtree_control").write_text("+cpu")
            self._set("cpu.max", f"{int(cpus * _PERIOD)} {_PERIOD}")
            return
        self._cpu.mkdir(exist_ok=True)
        self._set("cpu.cfs_quota_us", str(int(cpus * _PERIOD)))

    def start(self, *command: str | os.PathLike[str]) -> subprocess.Popen[bytes]:
        """Start a command that is in both of its cgroups from the first instruction on."""
        if not (IS_V1 and self._cpu.exists()):
            return super().start(*command)
        return super().start("/bin/sh", "-c", _ENTER_BOTH, self.directory, self._cpu, *command)

    def clean_bytes(self) -> int:
        """Page cache of files that is the same on the disk."""
        stat, prefix = self.stat(), "total_" if IS_V1 else "file_"
        unwritten = stat[f"{prefix}dirty"] + stat[f"{prefix}writeback"]
        return self.file_bytes() - self.shmem_bytes() - unwritten

    def peak_bytes(self) -> int:
        """The most that it was charged with."""
        return self._number("memory.max_usage_in_bytes" if IS_V1 else "memory.peak")

    def anon_bytes(self) -> int:
        """Memory of its programs' own."""
        return self.stat()["total_rss" if IS_V1 else "anon"]

    def kernel_bytes(self) -> int:
        """The kernel's own memory for it."""
        if IS_V1:
            return self._number("memory.kmem.usage_in_bytes")
        return self.stat()["kernel"]

    def remove(self, timeout: float = 10.0) -> None:
        """Remove both of its cgroups."""
        super().remove(timeout)
        if IS_V1 and self._cpu.exists():
            remove_directory(self._cpu, timeout)

    @property
    def _cpu(self) -> Path:
        return _CPU_ROOT / self.directory.relative_to(ROOT)

    def _set(self, name: str, value: str) -> None:
        ((self._cpu if IS_V1 else self.directory) / name).write_text(value)

    def _number(self, name: str) -> int:
        return int((self.directory / name).read_text())


class Program:
    """A program in a place that speaks in lines; `settings` are its environment beside ours."""

    def __init__(self, place: Cgroup, *command: str | Path, **settings: str) -> None:
        """Start it and wait for its first line."""
        given = [f"{name}={value}" for name, value in settings.items()]
        self._child = place.start("env", *given, *map(str, command))
        self.greeting = self._line()
        assert self.greeting, f"{command} ended before it was ready"

    @property
    def pid(self) -> int:
        """Its process."""
        return self._child.pid

    @property
    def lives(self) -> bool:
        """Whether it has not been killed yet."""
        return self._child.poll() is None

    def order(self, words: str) -> str:
        """Tell it what to do, and wait until it is done; "" when it did not live to say so."""
        assert self._child.stdin is not None
        try:
            os.write(self._child.stdin.fileno(), f"{words}\n".encode())
        except BrokenPipeError:
            return ""
        return self._line()

    def stats(self) -> dict[str, Any]:
        """What a service says of itself."""
        said: dict[str, Any] = json.loads(self.order("stats"))
        return said

    def end_of(self, seconds: float) -> int | None:
        """Its exit code, negative for a signal; None when it still lives after so long."""
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def _line(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline().decode().strip()
