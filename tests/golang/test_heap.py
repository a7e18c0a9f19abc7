"""Who holds the heap of a running, stripped program, as `memtrace go --heap` tells it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.golang.process import Subject
from tests.golang.programs import Program, go
from tests.golang.toolchains import CHOSEN, GoUnavailable, toolchain
from tests.kernel.harness import golang
from tests.outcomes import unavailable

MIB = 1 << 20
HELD, KEPT = 41, 23
RATE = 512 << 10
SEEN = 1 - math.exp(-MIB / RATE)  # the chance that a block is sampled
SIGMAS = 5
ROUNDING = 20  # each stack of calls is rounded by itself
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/go.schema.json").read_text())

stripped = pytest.mark.parametrize("flavour", ["stripped"])


@pytest.fixture(autouse=True)
def root() -> None:
    """Other processes' memory is read."""
    if os.geteuid():
        unavailable("it needs root")


def told(pid: int, *options: str) -> Any:
    """The line of one process."""
    command = [sys.executable, "-m", "memtrace", "go", str(pid), "--json", "--for", "0.1s"]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, check=True, timeout=60
    )
    (line,) = done.stdout.splitlines()
    jsonschema.validate(json.loads(line), SCHEMA)
    return json.loads(line)


def deviation(blocks: int) -> float:
    """Of the estimate of so many blocks of 1 MiB, in blocks."""
    return math.sqrt(blocks * (1 - SEEN) / SEEN)


def held(own: Any) -> tuple[float, float]:
    """Objects and bytes that the runtime's samples stand for (Go: pprof scaleHeapSample)."""
    objects = size = 0.0
    for count, total, _ in own:
        if count and total:
            seen = 1 - math.exp(-total / count / RATE)
            objects, size = objects + count / seen, size + total / seen
    return objects, size


def held_by(rows: Any, function: str) -> Any:
    """The row of what one function allocated."""
    (row,) = [row for row in rows if row["frames"] and row["frames"][0] == function]
    return row


@stripped
def test_the_functions_that_hold_it(built: Program) -> None:
    """41 and 23 blocks of 1 MiB, within the error of sampling, and just what the runtime says."""
    with Subject(built.stripped) as subject:
        subject.ask("hold", HELD)
        subject.ask("keep", KEPT)
        for _ in range(3):
            subject.ask("gc")
        found, own = told(subject.process.pid, "--heap"), subject.ask("profile")
    assert found["heap_by_function_reason"] == ""
    rows = found["heap_by_function"]
    for name, blocks in (("main.holdMebibyte", HELD), ("main.keepMebibyte", KEPT)):
        row = held_by(rows, name)
        assert row["function"].startswith(f"{name} <- main.do")
        assert abs(row["bytes"] / MIB - blocks) <= SIGMAS * deviation(blocks)
        # the slice that holds them is allocated there too, and may be among the samples
        sampled = [bucket for bucket in own if name in bucket[2] and bucket[0]]
        objects, scaled = held(sampled)
        assert abs(row["objects"] - objects) <= len(sampled)
        assert abs(row["bytes"] - scaled) <= len(sampled)
    total = sum(row["bytes"] for row in rows) + found["heap_by_function_other_bytes"]
    assert abs(total - held(own)[1]) <= ROUNDING


@stripped
def test_a_heap_that_was_never_collected_is_told(built: Program) -> None:
    """Before the runtime publishes anything: all it counted."""
    with Subject(built.stripped, GOGC="off") as subject:
        subject.ask("hold", HELD)
        found = told(subject.process.pid, "--heap")
    assert found["gc_cycles"] == 0
    row = held_by(found["heap_by_function"], "main.holdMebibyte")
    assert abs(row["bytes"] / MIB - HELD) <= SIGMAS * deviation(HELD)


@pytest.mark.parametrize("release", ["1.25"])
@stripped
def test_it_is_only_told_when_asked_for(built: Program) -> None:
    """Otherwise the reason says how to."""
    with Subject(built.stripped) as subject:
        found = told(subject.process.pid)
    assert found["heap_by_function"] is found["heap_by_function_other_bytes"] is None
    assert found["heap_by_function_reason"] == "not asked for: --heap"


# runtime.init of 1.19 overwrites what GODEBUG said.
@pytest.mark.parametrize("release", [each for each in CHOSEN if each != "1.19"])
@stripped
def test_a_profile_that_is_switched_off_is_a_sentence(built: Program) -> None:
    """GODEBUG=memprofilerate=0."""
    with Subject(built.stripped, GODEBUG="memprofilerate=0") as subject:
        found = told(subject.process.pid, "--heap")
    assert found["heap_by_function"] is None
    assert found["heap_by_function_reason"].endswith("its runtime.MemProfileRate is 0")


def test_a_profile_the_linker_dropped_is_a_sentence(release: str, tmp_path: Path) -> None:
    """Of a program that never calls runtime.MemProfile."""
    with subprocess.Popen(
        (unprofiled(release, tmp_path), "1"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = told(process.pid, "--heap")
    assert found["heap_by_function"] is None
    assert "linker left its heap profile out" in found["heap_by_function_reason"]


def unprofiled(release: str, directory: Path) -> Path:
    """A program that holds memory, and asks nothing of its runtime."""
    try:
        root = toolchain(release)
    except GoUnavailable as error:
        unavailable(f"Go {release}: {error}")
    target = directory / "eat"
    go(root, "build", "-ldflags=-s -w", "-o", str(target), "eat.go", cwd=golang.PROGRAMS)
    return target
