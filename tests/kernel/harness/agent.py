"""A running `memtrace agent` beside a test, with directories of its own; ended on exit."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from tests.kernel.harness.memtrace import PROGRAM
from tests.kernel.harness.oom import OomWatch


class Agent(OomWatch):
    """Its records, its log, its health. Started again in the same directory it goes on."""

    def __init__(self, directory: Path, *options: str) -> None:
        """Keep everything below `directory`."""
        super().__init__(directory)
        self._options = options
        self.history = self._state / "history.mtr"

    def __enter__(self) -> Agent:
        command = [PROGRAM, "agent", "--listen", "127.0.0.1:0", "--log-format", "json"]
        command += ["--oom-dir", str(self.records_dir), "--state-dir", str(self._state)]
        command += self._options
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
        self.until(lambda: bool(self.events("first_sample")), 60)
        return self

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        return super().stop(with_signal)

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it logged under this name so far."""
        lines = [line for line in self.errors.splitlines() if line.endswith("}")]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def ask(self, path: str) -> dict[str, Any]:
        """What it answers over HTTP. Raises URLError."""
        answer: dict[str, Any] = json.loads(self._get(path))
        return answer

    def metrics(self, family: str) -> list[str]:
        """The lines of its series of one family now."""
        return [
            line for line in self._get("/metrics").splitlines() if line.startswith(f"{family}{{")
        ]

    def next_sample(self) -> None:
        """Wait until it has taken another sample, and done what it does with one."""
        before = self.ask("/healthz")["samples"]
        self.until(lambda: self.ask("/healthz")["samples"] > before + 1, 60)

    def _get(self, path: str) -> str:
        port = self.events("started")[0]["port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as response:
            return bytes(response.read()).decode()
