"""What following Go programs costs them: CPU time of a collection, and of a written page, in pairs.

Collections of a program with next to no heap, which does nothing else, with and without probes;
how long a binary takes to follow and to leave; and pages that a Go program writes, with memtrace
attached throughout and stacks sampled or not. What is added is the median of the differences
within a round.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common import disk_directory, options, progress, publish, summary

from memtrace.collect.watches.stacks import PERIOD, StackWatch
from memtrace.host.hierarchy import find_hierarchy
from memtrace.kernel.go_probe import GoProbe
from memtrace.kernel.plan import QUESTIONS, STACKS, make_plan
from memtrace.kernel.session import Session
from memtrace.kernel.support import kernel_facts
from tests.kernel.harness.golang import TIMES, Binary, build

ROUNDS, QUICK_ROUNDS = 40, 6
CYCLES, PAGES = 2003, 16384
WAYS = {"uprobe_multi": True, "perf events": False}
Pairs = list[tuple[float, float]]  # CPU seconds without and with


def cpu_seconds(*command: object) -> float:
    """What a command used, from its start to its end."""
    child = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {1}),
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return used.ru_utime + used.ru_stime


def added(pairs: Pairs, count: int) -> dict[str, float]:
    """Nanoseconds for each of `count`, with the standard error of the median."""
    differences = [(after - before) / count * 1e9 for before, after in pairs]
    low, middle, high = statistics.quantiles(differences, n=4, method="inclusive")
    return {
        "alone_ns": statistics.median(before for before, _ in pairs) / count * 1e9,
        "added_ns": middle,
        "error_ns": (high - low) / 1.349 * 1.2533 / len(pairs) ** 0.5,
    }


def pairs(rounds: int, run: Callable[[bool], float]) -> Pairs:
    """So many rounds, after one that warms up; each begins with the other one."""
    found: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds + 1):
        for with_it in (False, True) if number % 2 else (True, False):
            found[with_it].append(run(with_it))
    return list(zip(found[False][1:], found[True][1:], strict=True))


def collections(rounds: int, collect: Binary) -> dict[str, float]:
    """A collection with and without probes."""

    def run(probed: bool) -> float:
        with GoProbe(True) as probe:
            if probed:
                probe.follow(str(collect.path), collect.places, TIMES)
            used = cpu_seconds(collect.path, CYCLES, "forced", 4)
            assert (probe.drain(lambda _: None) >= CYCLES) == probed
        return used

    return added(pairs(rounds, run), CYCLES)


def attaching(rounds: int, collect: Binary, many: bool) -> dict[str, dict[str, float]]:
    """How long it takes to follow a binary, and to leave it, in milliseconds."""
    follow, leave = [], []
    with GoProbe(many) as probe:
        for _ in range(rounds):
            begun = time.monotonic()
            number = probe.follow(str(collect.path), collect.places, TIMES)
            followed = time.monotonic()
            probe.leave(number)
            follow.append((followed - begun) * 1e3)
            leave.append((time.monotonic() - followed) * 1e3)
    return {"follow_ms": summary(follow), "leave_ms": summary(leave)}


@contextmanager
def sampling() -> Iterator[Callable[[bool], None]]:
    """memtrace's programs; what is yielded switches the sampling of stacks."""
    plan = make_plan(kernel_facts(QUESTIONS))
    with Session(plan, find_hierarchy(Path("/")).hierarchy_id) as session:
        watch = StackWatch(session, plan.on_demand[STACKS])

        def switch(wanted: bool) -> None:
            watch.disarm()
            if wanted:
                watch.arm()
                watch.aim(None)
            for _ in session.gather():
                pass

        yield switch


def writes(rounds: int, write: Binary, small: int, large: int) -> dict[str, float]:
    """A page that is written, with stacks sampled and without."""
    with disk_directory() as directory, sampling() as switch:

        def run(sampled: bool) -> float:
            switch(sampled)
            used = cpu_seconds(write.path, directory, small, large)
            for path in directory.iterdir():
                path.unlink()
            return used

        return added(pairs(rounds, run), small + large)


def main() -> int:
    """Measure, print, publish."""
    rounds = QUICK_ROUNDS if options(__doc__ or "").quick else ROUNDS
    figures: dict[str, dict[str, float]] = {}
    with disk_directory() as directory:
        collect, write = build("collect", directory), build("write", directory)
        progress("collections")
        figures["a collection"] = collections(rounds, collect)
        progress("pages")
        figures["a page, 4 KiB writes"] = writes(rounds, write, PAGES, 0)
        figures["a page, 1 MiB writes"] = writes(rounds, write, 0, PAGES)
        ways = {name: attaching(10, collect, many) for name, many in WAYS.items()}
    print("\nCPU time of")
    for name, each in figures.items():
        alone, more, error = each.values()
        print(f"  {name:24}{alone:10.0f} ns {more:+8.0f} +- {error:.0f} ns")
    for name, times in ways.items():
        follow, leave = (times[part]["median"] for part in ("follow_ms", "leave_ms"))
        print(f"  {name}: {follow:.1f} ms to follow a binary, {leave:.0f} ms to leave it")
    publish("go", {"period": PERIOD, "figures": figures, "ways": ways})
    return 0


if __name__ == "__main__":
    sys.exit(main())
