"""A throw-away place for the demo: cgroups, files and processes that are gone when it ends.

Works on cgroup v1, hybrid and v2. Knows no story.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from memtrace.host.hierarchy import Hierarchy, find_hierarchy

PREFIX = "memtrace-demo-"
# For sh -c: enter the cgroup whose directory is $0, then become the command.
ENTER = 'echo 0 > "$0/cgroup.procs" && exec "$@"'
_PR_SET_PDEATHSIG = 1
_PATIENCE_SECONDS = 10.0
_libc = ctypes.CDLL(None)


class Place:
    """Where the demo happens; made by `place`."""

    def __init__(self, hierarchy: Hierarchy, directory: Path) -> None:
        self._hierarchy = hierarchy
        self._cgroups: list[Path] = []
        self._processes: list[subprocess.Popen[str]] = []
        self.directory = directory
        self.top = hierarchy.mount / f"{PREFIX}{os.getpid()}"

    def cgroup(self, name: str, limit: int | None = None) -> Path:
        """Make a cgroup; swap would let it grow beyond its limit, so there is none."""
        made = self.top / name
        made.mkdir()
        self._cgroups.append(made)
        old = self._hierarchy.version == 1
        if limit is not None:
            (made / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(limit))
            no_swap = made / ("memory.memsw.limit_in_bytes" if old else "memory.swap.max")
            with contextlib.suppress(OSError):  # a kernel without swap accounting
                no_swap.write_text(str(limit) if old else "0")
        return made

    def start(self, cgroup: Path, *command: str | Path) -> subprocess.Popen[str]:
        """Start a program that is in that cgroup from its first instruction on."""
        entering: list[str | Path] = ["/bin/sh", "-c", ENTER, cgroup, *command]
        return self._start(entering, subprocess.PIPE, subprocess.STDOUT)

    def start_quietly(self, *command: str | Path) -> subprocess.Popen[str]:
        """Start a program of which nobody reads more than its complaints."""
        return self._start(list(command), subprocess.DEVNULL, None)

    def _start(
        self, command: list[str | Path], out: int, complaints: int | None
    ) -> subprocess.Popen[str]:
        """It ends with the demo, and Ctrl-C is the demo's: it ends everything in order."""
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=complaints,
            text=True,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        self._processes.append(process)
        return process

    def clear(self) -> None:
        """End the processes and remove cgroups and files, whatever has happened."""
        for process in self._processes:
            _end(process)
        for directory in [*self._cgroups, self.top]:
            _remove_cgroup(directory)
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def place(parent: Path) -> Iterator[Place]:
    """Yield a place whose files are in a new directory of `parent`; clear it at the end.

    Raises HostError, OSError.
    """
    hierarchy = find_hierarchy()
    made = Place(hierarchy, Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)))
    with _memory_below(hierarchy.mount, hierarchy.version):
        try:
            made.top.mkdir()
            with _memory_below(made.top, hierarchy.version):
                yield made
        finally:
            before = [
                (n, signal.signal(n, signal.SIG_IGN)) for n in (signal.SIGINT, signal.SIGTERM)
            ]
            made.clear()
            for number, handler in before:
                signal.signal(number, handler)


@contextlib.contextmanager
def _memory_below(directory: Path, version: int) -> Iterator[None]:
    """On v2 hand the memory controller down; afterwards it is as it was."""
    control = directory / "cgroup.subtree_control"
    if version == 1 or "memory" in control.read_text().split():
        yield
        return
    control.write_text("+memory")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # somebody else needs it by now, or it is gone
            control.write_text("-memory")


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE_SECONDS)
    if process.stdout is not None:
        process.stdout.close()


def _remove_cgroup(directory: Path) -> None:
    """A process that was just killed may be in it for a moment longer."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while directory.exists() and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            directory.rmdir()
            return
        time.sleep(0.05)
