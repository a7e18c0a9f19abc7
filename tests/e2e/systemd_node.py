"""Runs in a guest, below systemd: the DaemonSet's tests with the systemd driver, beside the unit.

Prints one JSON object: what became of each test, and checks of deploy/systemd's memtrace.service,
which watched the same pods. The guest is debian_guest.py's; who starts this says where things are.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path("/work/memtrace")
UNIT = REPOSITORY / "deploy" / "systemd" / "memtrace.service"
TESTS = REPOSITORY / "tests" / "e2e" / "test_daemonset.py"
RECORDS = Path("/var/log/memtrace/oom")
SERVICE = "memtrace.service"
WHERE = "http://127.0.0.1:9435"
KILLED = {"namespace": "shop", "pod": "web-1", "container": "server"}
SECONDS = 120


class Outcomes:
    """A plugin that keeps what became of each test."""

    def __init__(self) -> None:
        self.tests: dict[str, str] = {}
        self.said: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """The worst of its three phases counts."""
        name = report.nodeid.rpartition("::")[2]
        if report.when == "call" or not report.passed:
            self.tests[name] = report.outcome
        if report.failed:
            self.said[name] = report.longreprtext[-2000:]


def main() -> None:
    """Start the unit, run the tests beside it, look at the unit."""
    shutil.copy(UNIT, "/etc/systemd/system")
    systemctl("daemon-reload")
    systemctl("start", SERVICE)
    healthy()
    outcomes = Outcomes()
    with contextlib.redirect_stdout(sys.stderr):
        pytest.main(["-v", "-p", "no:cacheprovider", str(TESTS)], plugins=[outcomes])
    said = {"tests": outcomes.tests, "said": outcomes.said, "checks": checks()}
    print(json.dumps(said))


def checks() -> dict[str, Any]:
    """What the unit came to."""
    facts = {
        "first process": Path("/proc/1/comm").read_text().strip(),
        "hierarchies": Path("/proc/self/cgroup").read_text().count("\n"),
        "status": healthy(),
        **dict(zip(("state", "restarts"), shown("ActiveState", "NRestarts"), strict=True)),
        "kills": kills(),
    }
    expected = {
        "first process": "systemd",
        "hierarchies": 1,
        "status": "ok",
        "state": "active",
        "restarts": "0",
        "kills": [[*KILLED.values(), "memcg"]],
    }
    return {name: {"got": facts[name], "expected": expected[name]} for name in facts}


def kills() -> list[list[str]]:
    """Of its records: whose, and by whom; the scope's name is the kernel's."""
    records = [json.loads(path.read_text()) for path in RECORDS.glob("*.json")]
    return [
        [*(record["oom_cgroup"][key] for key in KILLED), record["kill"]]
        for record in records
        if record["oom_cgroup"]["path"].startswith("/kubepods.slice/")
    ]


def healthy() -> str:
    """What it says of itself, once it says something."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{WHERE}/healthz", timeout=10) as answer:
                return str(json.load(answer)["status"])
        except OSError:
            if time.monotonic() > end:
                return "\n".join(shown("ActiveState", "Result"))
            time.sleep(0.5)


def shown(*properties: str) -> list[str]:
    """Properties of the unit."""
    done = systemctl("show", SERVICE, *(f"--property={name}" for name in properties))
    found = dict(line.split("=", 1) for line in done.splitlines())
    return [found[name] for name in properties]


def systemctl(*arguments: str) -> str:
    """What it prints; it must succeed."""
    done = subprocess.run(
        ["systemctl", *arguments], stdout=subprocess.PIPE, check=True, text=True, timeout=SECONDS
    )
    return done.stdout


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    main()
