"""A memtrace that runs beside a test, and what it says: `top --json` read line by line.

Knows the JSON contract's names and nothing else of the program.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROGRAM = os.environ.get("MEMTRACE", str(Path(sys.prefix) / "bin" / "memtrace"))
QUIET_SECONDS = 3.0
PATIENCE = 90.0
"""Seconds for a snapshot, or an end: each may take 2 s of CPU time, scarce on a busy machine."""


class Row:
    """One container of a snapshot, with the questions that tests ask of it."""

    def __init__(self, data: dict[str, Any]) -> None:
        """Wrap one entry of `containers`."""
        self.data = data

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    @property
    def attributed(self) -> int | None:
        """Bytes that the ledger accounts for: baseline + added - removed."""
        attributed: int | None = self.data["page_cache"]["attributed_bytes"]
        return attributed

    def cache(self, name: str) -> Any:
        """One figure of `page_cache`, without its `_bytes`."""
        return self.data["page_cache"][f"{name}_bytes"]

    def io(self, kind: str) -> int:
        """Bytes added by one kind of I/O."""
        return sum(entry["bytes"] for entry in self.data["io"] if entry["kind"] == kind)

    def removed_by(self, reason: str) -> int:
        """Bytes removed for one reason."""
        rows = self.data["removed_by"]
        return sum(entry["bytes"] for entry in rows if entry["reason"] == reason)

    def drivers(self, **wanted: Any) -> list[dict[str, Any]]:
        """The drivers whose fields have these values."""
        rows = self.data["drivers"]
        return [row for row in rows if all(row[key] == value for key, value in wanted.items())]

    def driven(self, **wanted: Any) -> int:
        """Bytes added by the drivers whose fields have these values."""
        return sum(row["added_bytes"] for row in self.drivers(**wanted))

    def files(self, **wanted: Any) -> list[dict[str, Any]]:
        """The files whose fields have these values."""
        rows = self.data["files"]
        return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


class Snapshot:
    """One line of `top --json`."""

    def __init__(self, line: bytes) -> None:
        """Parse one line."""
        self.data: dict[str, Any] = json.loads(line)

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def row(self, cgroup: str) -> Row:
        """The container at a path of the memory hierarchy; several (reused names): the last."""
        rows = self.rows(cgroup)
        assert rows, f"no row for {cgroup}"
        return rows[-1]

    def rows(self, cgroup: str) -> list[Row]:
        """Every container at that path: removed ones of the same name included."""
        return [Row(row) for row in self.data["containers"] if row["cgroup"] == cgroup]


class Memtrace:
    """A running `memtrace top --json`, started on entry and ended on exit."""

    def __init__(self, *arguments: str, interval: float = 1.0) -> None:
        """Prepare the command; `arguments` go in front of the interval."""
        self._command = [PROGRAM, "top", "--json", *arguments, f"{interval:g}"]
        self.interval = interval
        self._lines: list[bytes] = []
        self._arrived = threading.Condition()
        self._errors = b""
        self.keep_all = False

    def __enter__(self) -> Memtrace:
        self.process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._readers = [
            threading.Thread(target=reader, daemon=True)
            for reader in (self._read, self._read_errors)
        ]
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of memtrace."""
        return self.process.pid

    @property
    def errors(self) -> str:
        """What it wrote to standard error so far."""
        return self._errors.decode(errors="replace")

    def first(self, timeout: float = PATIENCE) -> Snapshot:
        """Wait until at least one snapshot is there and return the latest."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._lines or self._ended(), timeout)
            return self._latest()

    def next(self, timeout: float = PATIENCE) -> Snapshot:
        """Wait for a snapshot begun after this call."""
        return self.after(time.time(), timeout)

    def after(self, moment: float, timeout: float = PATIENCE) -> Snapshot:
        """Wait for a snapshot taken after a moment of wall-clock time."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with self._arrived:
                latest = self._latest() if self._lines else None
                if latest and latest["time"] >= moment:
                    return latest
                assert not self._ended(), f"memtrace ended: {self.errors}"
                self._arrived.wait(1.0)
        raise AssertionError(f"no snapshot within {timeout:g} s; stderr: {self.errors}")

    def settle(self, quiet: float = QUIET_SECONDS) -> Snapshot:
        """Return the first snapshot taken when nothing has happened for `quiet` seconds."""
        return self.after(time.time() + quiet, timeout=quiet + PATIENCE)

    def all(self) -> Iterator[Snapshot]:
        """Every snapshot so far; needs `keep_all`."""
        assert self.keep_all
        with self._arrived:
            lines = list(self._lines)
        return (Snapshot(line) for line in lines)

    def stop(self, with_signal: int = signal.SIGINT, timeout: float = PATIENCE) -> int:
        """End memtrace and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(
                f"memtrace ignored signal {with_signal} for {timeout:g} s"
            ) from None
        finally:
            for reader in self._readers:
                reader.join(timeout=5)

    def rss_bytes(self) -> int:
        """Resident memory of memtrace now."""
        return _status_bytes(self.pid, "VmRSS")

    def descriptors(self) -> int:
        """How many files memtrace has open; BPF programs and maps, some on demand, are none."""
        return sum("bpf" not in _link(each) for each in Path(f"/proc/{self.pid}/fd").iterdir())

    def _latest(self) -> Snapshot:
        if self._ended() or not self._lines:
            raise AssertionError(
                f"memtrace gave no snapshot (exit {self.process.poll()}): {self.errors}"
            )
        return Snapshot(self._lines[-1])

    def _ended(self) -> bool:
        return self.process.poll() is not None

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._arrived:
                if not self.keep_all:
                    self._lines.clear()
                self._lines.append(line)
                self._arrived.notify_all()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._errors += line


def _status_bytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {name} of {pid}")


def _link(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)
    except OSError:  # closed meanwhile
        return "bpf"
