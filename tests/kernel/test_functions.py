"""Functions behind page-cache growth, as `top --json --watch stacks` tells them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.golang import build, stripped
from tests.kernel.harness.memtrace import Memtrace

SMALL, LARGE = 3001, 5003
TRIES = 10


def named(memtrace: Memtrace, cgroup: Cgroup, pages: int = 0) -> Any:
    """The cgroup's row once its stacks are told, and so many pages: samples are behind at first."""
    for _ in range(TRIES):
        row = memtrace.next().row(cgroup.path)
        if row["stacks"] and sum(each["added_bytes"] for each in row["drivers"]) >= pages * PAGE:
            return row
    raise AssertionError("no stack was told")


def test_each_file_has_the_function_that_wrote_it(tmp_path: Path, disk: Path) -> None:
    """Of a stripped Go program; amounts of drivers are exact, those of stacks estimated."""
    program = stripped(build("write", tmp_path)).path
    directory = disk / "functions"
    directory.mkdir()
    with Memtrace("--watch", "stacks") as memtrace, Cgroup("functions") as cgroup:
        memtrace.first()
        child = cgroup.hold(program, directory, str(SMALL), str(LARGE))
        row = named(memtrace, cgroup, SMALL + LARGE)
    told = {Path(each["path"]).name: each for each in row.drivers(kind="write", pid=child.pid)}
    assert told["small"]["added_bytes"] == SMALL * PAGE
    assert told["small"]["function"].startswith("main.write <- main.writeSmall")
    assert told["large"]["function"].startswith("main.write <- main.writeLarge")
    assert told["small"]["sampled"]
    stacks = [each for each in row["stacks"] if each["pid"] == child.pid]
    assert all("main.main" in each["frames"] for each in stacks)
    estimated = sum(each["bytes"] for each in stacks) + row["stacks_other_bytes"]
    assert estimated == pytest.approx((SMALL + LARGE) * PAGE, rel=0.15)


BECOMES = """
import os, sys
with open(os.path.join(sys.argv[1], "before"), "wb", 0) as file:
    for _ in range(3001):
        file.write(bytes(4096))
sys.stdin.readline()
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_what_a_process_becomes_has_its_own_names(tmp_path: Path, disk: Path) -> None:
    """By an exec: the pid and its start stay as they were, and so do names from before."""
    program = stripped(build("write", tmp_path)).path
    directory = disk / "becomes"
    directory.mkdir()
    with Memtrace("--watch", "stacks") as memtrace, Cgroup("becomes") as cgroup:
        memtrace.first()
        words = (directory, program, directory, str(SMALL), str(LARGE))
        child = cgroup.start(sys.executable, "-c", BECOMES, *words)
        before = named(memtrace, cgroup)
        assert {each["pid"] for each in before["stacks"]} == {child.pid}
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"ready\n"
        told: dict[str, Any] = {}
        for _ in range(TRIES):
            row = memtrace.next().row(cgroup.path)
            told = {Path(each["path"]).name: each for each in row.drivers(kind="write")}
            if told.get("large", {}).get("function"):
                break
    assert {each["pid"] for each in told.values()} == {child.pid}
    assert told["large"]["function"].startswith("main.write <- main.writeLarge")
    assert told["before"]["function"]
    assert "main." not in told["before"]["function"]


def test_unwatched_there_are_none(disk: Path) -> None:
    """Null, not an empty list."""
    with Memtrace() as memtrace, Cgroup("unwatched") as cgroup:
        memtrace.first()
        cgroup.run("dd", "if=/dev/zero", f"of={disk / 'unwatched'}", f"bs={PAGE}", "count=1009")
        row = memtrace.next().row(cgroup.path)
    assert row["stacks"] is None
    assert {each["function"] for each in row["drivers"]} == {None}
