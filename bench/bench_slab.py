"""What watching allocations of kernel objects costs: CPU time of look-ups and of making files.

Three modes take turns in every round: nothing attached, memtrace's programs, and those with the
one that is attached while kernel memory grows. The workload is in a cgroup, for what the root
pays for is not counted. What is added is the median, over the rounds, of a round's lower quartile
against the same round without a program.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench_overhead import WORKLOAD_CPU, other_programs
from common import Cgroup, compiled, options, progress, publish, spread, summary

from memtrace.host.hierarchy import find_hierarchy
from memtrace.kernel.plan import QUESTIONS, make_plan
from memtrace.kernel.session import Session
from memtrace.kernel.support import kernel_facts
from tests.kernel.harness.cgroup import ENTER

COUNT = 20_000
ROUNDS, QUICK_ROUNDS = 12, 2
REPEATS = 5  # per mode and round
CASES = ("stat() of a missing name", "stat() of a known name", "a file made", "a file removed")
MODES = ("off", "memtrace", "armed")

Samples = dict[tuple[str, str], list[list[float]]]  # (case, mode): one list per round


@contextmanager
def attached(mode: str) -> Iterator[None]:
    """Nothing, or memtrace's programs, or these and the one that is measured."""
    if mode == "off":
        yield
        return
    with Session(make_plan(kernel_facts(QUESTIONS)), find_hierarchy(Path("/")).hierarchy_id) as all:
        if mode == "armed":
            all.watch_slab()
        yield


def timed(cgroup: Cgroup, program: Path, directory: Path, files: Path) -> list[float]:
    """Do every step once in the cgroup, on one CPU; nanoseconds for each name."""
    pinned = ["taskset", "-c", str(WORKLOAD_CPU), program]
    pinned += [directory / "names", files / "files", str(COUNT)]
    command = ["/bin/sh", "-c", ENTER, cgroup.directory, *pinned]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(figure) / COUNT for figure in done.stdout.split()]


def run(rounds: int) -> Samples:
    """All rounds; each starts with another mode."""
    samples: Samples = defaultdict(list)
    with ExitStack() as opened:
        program, directory = opened.enter_context(compiled("lookups.c"))
        cgroup = opened.enter_context(Cgroup("bench"))
        files = opened.enter_context(TemporaryDirectory(dir="/dev/shm"))
        workload = partial(timed, cgroup, program, directory, Path(files))
        workload()
        for number in range(rounds):
            order = MODES[number % len(MODES) :] + MODES[: number % len(MODES)]
            progress(f"round {number + 1} of {rounds}: {', '.join(order)}")
            for mode in order:
                with attached(mode):
                    runs = [workload() for _ in range(REPEATS)]
                for case, figures in zip(CASES, zip(*runs, strict=True), strict=True):
                    samples[case, mode].append(list(figures))
    return samples


def figures_of(samples: Samples, case: str) -> dict[str, dict[str, float]]:
    """A case's figures by mode; `added` is in percent, `added_ns` in nanoseconds for each name."""
    low = {mode: [summary(each)["p25"] for each in samples[case, mode]] for mode in MODES}
    return {
        mode: {
            **summary([figure for each in samples[case, mode] for figure in each]),
            "added": _middle(100 * (ours / off - 1) for ours, off in _pairs(low, mode)),
            "added_ns": _middle(ours - off for ours, off in _pairs(low, mode)),
        }
        for mode in MODES
    }


def _pairs(low: dict[str, list[float]], mode: str) -> Iterator[tuple[float, float]]:
    return zip(low[mode], low["off"], strict=True)


def _middle(values: Iterator[float]) -> float:
    return statistics.median(values)


def main() -> int:
    """Measure, print, publish."""
    quick = options(__doc__ or "").quick
    others = other_programs()
    samples = run(QUICK_ROUNDS if quick else ROUNDS)
    cases = {case: figures_of(samples, case) for case in CASES}
    print(f"\nCPU nanoseconds of one name, of {COUNT}")
    print(f"  {'':26}{'':10}{'p25':>9}{'spread':>9}{'added':>9}{'added ns':>10}")
    for case, figures in cases.items():
        for mode in MODES:
            each = figures[mode]
            added = f"{each['added']:+8.1f}%{each['added_ns']:+10.0f}" if mode != "off" else ""
            head = case if mode == "off" else ""
            print(f"  {head:26}{mode:10}{each['p25']:9.0f}{100 * spread(each):8.1f}%{added}")
    if others := max(others, other_programs()):
        print(f"\nNOT A FIGURE: {others} other BPF programs were attached, also in 'off'")
    publish("slab", {"names": COUNT, "other_bpf_programs": others, "nanoseconds": cases})
    return 0


if __name__ == "__main__":
    sys.exit(main())
