"""A `memtrace oom watch` beside a test, the records it makes, and kills inside small cgroups."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.kernel.harness.cgroup import IS_V1, Cgroup
from tests.kernel.harness.memtrace import PROGRAM

LIMIT = 16 << 20
TOO_MUCH = 40 << 20

Record = dict[str, Any]


class OomWatch:
    """A running watch with a directory of its own, ended on exit. `records` reads the disk."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        """Keep records and counters below `directory`."""
        self._arguments = arguments
        self.records_dir = directory / "oom"
        self._state = directory / "state"
        self._log = directory / "watch.log"
        self._read: dict[str, Record] = {}

    def __enter__(self) -> OomWatch:
        command = [PROGRAM, "oom", "watch", "--json", "--no-baseline", "-v"]
        command += self._arguments
        command += ["--oom-dir", str(self.records_dir), "--state-dir", str(self._state)]
        self._log.parent.mkdir(exist_ok=True)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
            )
        self.until(lambda: "watching" in self.errors, 60)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def errors(self) -> str:
        """What it wrote to standard error so far."""
        return self._log.read_text()

    def stop(self, with_signal: int = signal.SIGINT) -> int:
        """End it and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        return self.process.wait(30)

    def records(self) -> list[Record]:
        """Every record on disk, by id; each is read once, as none is ever changed."""
        for path in sorted(self.records_dir.glob("*.json")):
            if path.name not in self._read:
                self._read[path.name] = json.loads(path.read_text())
        return [self._read[name] for name in sorted(self._read)]

    def of(self, cgroup: Cgroup, count: int, seconds: float = 60.0) -> list[Record]:
        """The records of kills in a cgroup and below it, once there are so many of them."""

        def mine() -> list[Record]:
            return [each for each in self.records() if _is_in(each, cgroup.path)]

        self.until(lambda: len(mine()) >= count, seconds)
        return mine()

    def until(self, done: Callable[[], bool], seconds: float) -> None:
        """Wait for something, at most so long."""
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline:
            assert self.process.poll() is None, f"watch ended: {self.errors}"
            time.sleep(0.1)


def start(cgroup: Cgroup, *command: str | Path) -> int:
    """Start a command that is in the cgroup from its first instruction on; return its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            (cgroup.directory / "cgroup.procs").write_text("0")
            os.execv(command[0], [str(part) for part in command])
        finally:
            os._exit(1)
    return pid


def ended(pid: int) -> int:
    """Wait for a child; return its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def counted(cgroup: Cgroup) -> int:
    """Processes of this very cgroup that the kernel's OOM killer ended, as it counts them."""
    name = "memory.oom_control" if IS_V1 else "memory.events.local"
    lines = (cgroup.directory / name).read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def _is_in(record: Record, path: str) -> bool:
    places = [victim["cgroup"] for victim in record["victims"]] + [record["oom_cgroup"]["path"]]
    return any(place and f"{place}/".startswith(f"{path}/") for place in places)
