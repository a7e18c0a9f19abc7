"""A memory cgroup that a test owns: run commands in it, read the kernel's figures, remove it.

Works on cgroup v1, hybrid and v2; does not interpret what it reads.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from pathlib import Path

V1_ROOT = Path("/sys/fs/cgroup/memory")
V2_ROOT = Path("/sys/fs/cgroup")
IS_V1 = (V1_ROOT / "memory.stat").exists()
ROOT = V1_ROOT if IS_V1 else V2_ROOT
PREFIX = "memtrace-test"
# For sh -c: enter the cgroup whose directory is $0, then become the command.
ENTER = 'echo 0 > "$0/cgroup.procs" && exec "$@"'

_numbers = itertools.count(1)


class CommandError(AssertionError):
    """A workload failed: says which, and what it printed."""


class Cgroup:
    """One memory cgroup, created on entry and removed on exit with its children."""

    def __init__(self, label: str, parent: Cgroup | None = None) -> None:
        """Name the cgroup after `label`, unique on this machine."""
        unique = label if parent else f"{PREFIX}-{os.getpid()}-{next(_numbers)}-{label}"
        self.directory: Path = (parent.directory if parent else ROOT) / unique
        self._parent = parent
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cgroup:
        if self._parent and not IS_V1:
            (self._parent.directory / "cgroup.subtree_control").write_text("+memory")
        self.directory.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self.remove()

    @property
    def path(self) -> str:
        """Its path inside the memory hierarchy, as memtrace names it."""
        return "/" + str(self.directory.relative_to(ROOT))

    @property
    def cgroup_id(self) -> int:
        """The kernel's id of the cgroup: the inode number of its directory."""
        return self.directory.stat().st_ino

    def limit(self, limit_bytes: int) -> None:
        """Set the memory limit."""
        name = "memory.limit_in_bytes" if IS_V1 else "memory.max"
        (self.directory / name).write_text(str(limit_bytes))

    def start(self, *command: str | os.PathLike[str]) -> subprocess.Popen[bytes]:
        """Start a command that is in this cgroup from its first instruction on."""
        child = subprocess.Popen(
            ["/bin/sh", "-c", ENTER, self.directory, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._running.append(child)
        return child

    def run(self, *command: str | os.PathLike[str]) -> int:
        """Run a command in this cgroup to its end and return its pid."""
        return finish(self.start(*command))

    def hold(self, *command: str | os.PathLike[str]) -> subprocess.Popen[bytes]:
        """Start a workload that says "ready" when its work is done and then waits."""
        child = self.start(*command)
        assert child.stdout is not None
        if child.stdout.readline() != b"ready\n":
            finish(child)
            raise CommandError(f"{command} ended before it was ready")
        return child

    def stat(self) -> dict[str, int]:
        """Return memory.stat as it is now."""
        lines = (self.directory / "memory.stat").read_text().splitlines()
        return {key: int(value) for key, value in (line.split() for line in lines)}

    def file_bytes(self) -> int:
        """Page cache of this cgroup and all below, shared memory included (hierarchical)."""
        return self.stat()["total_cache" if IS_V1 else "file"]

    def shmem_bytes(self) -> int:
        """Shared memory of this cgroup and all below."""
        return self.stat()["total_shmem" if IS_V1 else "shmem"]

    def end(self) -> None:
        """End what this cgroup still runs."""
        for child in self._running:
            if child.poll() is None:
                child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout, child.stderr):
                if pipe and not pipe.closed:
                    pipe.close()
        self._running.clear()

    def remove(self, timeout: float = 10.0) -> None:
        """Remove the cgroup and its children, waiting for its last tasks to leave."""
        for child in sorted(self.directory.glob("**/"), reverse=True):
            remove_directory(child, timeout)


class ExistingCgroup(Cgroup):
    """The figures of a cgroup that somebody else made."""

    def __init__(self, path: str) -> None:
        """Look at `path` inside the memory hierarchy."""
        self.directory = ROOT / path.lstrip("/")
        self._running = []


def remove_directory(directory: Path, timeout: float = 10.0) -> None:
    """Remove one cgroup, waiting for its last tasks to leave. Raises OSError after `timeout` s."""
    deadline = time.monotonic() + timeout
    while directory.exists():
        try:
            directory.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def finish(child: subprocess.Popen[bytes]) -> int:
    """Wait for a workload, insist that it succeeded, and return its pid."""
    output, errors = child.communicate(timeout=120)
    if child.returncode != 0:
        text = (output + errors).decode(errors="replace")
        raise CommandError(f"{child.args!r} exited with {child.returncode}: {text}")
    return child.pid


def remove_cgroups(name: str) -> None:
    """Remove what a runtime leaves behind in every hierarchy, when it is empty."""
    everywhere = Path("/sys/fs/cgroup")
    for top in (everywhere / name, *everywhere.glob(f"*/{name}")):
        for path in sorted(top.glob("**/"), reverse=True):
            remove_directory(path)
