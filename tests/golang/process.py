"""A running subject: commands to it, and its memory as memtrace would read it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from memtrace.golang.binary import GoBinary, inspect_path
from memtrace.golang.gcstate import BLOCK_BYTES, GcState, decode


class Subject:
    """The program and its open memory, until the block ends."""

    def __init__(self, path: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            (path,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={"PATH": "/bin", **environment},
        )
        self.ask("ready")  # maps are empty for a moment after exec
        self.memory = os.open(f"/proc/{self.process.pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        self.binary = inspect_path(f"/proc/{self.process.pid}/exe")
        self.mapped = lowest_mapping(self.process.pid)

    def __enter__(self) -> Subject:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self.memory)
        self.process.kill()
        self.process.communicate()

    def ask(self, command: str, number: int = 0) -> Any:
        """One command and its answer, after which the program waits."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command} {number}\n")
        return json.loads(self.process.stdout.readline())

    def read(self, address: int, size: int) -> bytes:
        """Its memory, by the addresses it has while it runs."""
        return os.pread(self.memory, size, address)

    def read_variable(self, address: int, size: int) -> bytes:
        """Its memory, by link-time address."""
        return self.read(self.binary.running_at(address, self.mapped), size)

    def state(self) -> GcState | None:
        """What the room makes of gcController."""
        known: GoBinary = self.binary
        assert known.places is not None
        assert known.build is not None
        assert known.build.minor is not None
        block = self.read_variable(known.places.gc_controller, BLOCK_BYTES)
        return decode(block, known.build.minor)


def lowest_mapping(pid: int) -> int:
    """Where the lowest mapping of the program's own file begins."""
    exe = os.readlink(f"/proc/{pid}/exe")
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return min(int(line.partition("-")[0], 16) for line in lines if line.endswith(exe))
