"""What following 500 Go processes costs memtrace: CPU time of a look, and memory.

A tenth of them allocate all the time, or none. A look is what is done for each sample: new
processes found, every heap read, collections taken over. Finding all of them is apart.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import Cgroup, bar, disk_directory, options, progress, publish, status_mb, summary

from memtrace.collect.go_collections import GoCollections
from memtrace.collect.go_processes import GoProcesses
from memtrace.host.hierarchy import Hierarchy, find_hierarchy
from memtrace.kernel.go_plan import go_gc_feature, go_processes_feature, has_uprobe_multi
from memtrace.kernel.plan import QUESTIONS
from memtrace.kernel.support import kernel_facts
from memtrace.samples import GoProcess
from tests.kernel.harness.golang import build, stripped

PROCESSES, BUSY = 500, 50
CGROUPS = 50
LOOKS, QUICK_LOOKS = 60, 12
SETTLING = 70  # looks until the program is probed, and every process was placed a few times
INTERVAL = 1.0
BAR_MS = 5.0
ROOT = Path("/")


@contextmanager
def crowd(program: Path, busy: int) -> Iterator[list[Cgroup]]:
    """So many processes, spread over cgroups; ended afterwards."""
    with Cgroup("bench-go") as top:
        homes = [Cgroup(str(number), top) for number in range(CGROUPS)]
        for home in homes:
            home.__enter__()
        try:
            for number in range(PROCESSES):
                words = ("busy",) if busy and number % (PROCESSES // busy) == 0 else ()
                homes[number % CGROUPS].hold(program, *words)
            yield homes
        finally:
            for home in homes:
                home.__exit__()


def following(hierarchy: Hierarchy) -> GoProcesses:
    """What the agent has."""
    facts = kernel_facts(QUESTIONS)
    collections = GoCollections(go_gc_feature(facts), has_uprobe_multi(facts))
    return GoProcesses(ROOT, hierarchy, "/", go_processes_feature(facts), collections)


def spent(processes: GoProcesses) -> float:
    """CPU milliseconds of a look."""
    before = time.process_time_ns()
    processes.look(time.monotonic())
    return (time.process_time_ns() - before) / 1e6


def found(processes: GoProcesses, homes: list[Cgroup]) -> list[GoProcess]:
    """Those of the crowd."""
    return [row for home in homes for row in processes.of(home.cgroup_id)]


def measured(hierarchy: Hierarchy, homes: list[Cgroup], looks: int) -> dict[str, Any]:
    """Look once a second; CPU milliseconds and MB."""
    processes = following(hierarchy)
    before = status_mb(os.getpid(), "VmRSS")
    first = 0.0
    while len(found(processes, homes)) < PROCESSES:  # what is over its budget has its turn later
        first += spent(processes)
    spend: list[float] = []
    for _ in range(SETTLING + looks):
        time.sleep(INTERVAL)
        spend.append(spent(processes))
    rows = found(processes, homes)
    collections = sum(row.gc.cycles for row in rows if row.gc is not None)
    added = status_mb(os.getpid(), "VmRSS") - before
    processes.close()
    return {
        "processes": len(rows),
        "collections": collections,
        "first_ms": first,
        "look_ms": summary(spend[SETTLING:]),
        "look_ms_max": max(spend[SETTLING:]),
        "rss_added_mb": added,
    }


def tell(busy: int, figures: dict[str, Any]) -> None:
    """Print what was measured."""
    print(f"\n{PROCESSES} Go processes, {busy} of them busy")
    print(f"  found and read for the first time: {figures['first_ms']:.0f} ms of CPU")
    middle, most = figures["look_ms"]["median"], figures["look_ms_max"]
    print(f"  a look later: {middle:.1f} ms of CPU, at most {most:.1f} ms")
    print(f"  memory: {figures['rss_added_mb']:.1f} MB more")


def main() -> int:
    """Measure, print, publish."""
    looks = QUICK_LOOKS if options(__doc__ or "").quick else LOOKS
    hierarchy = find_hierarchy(ROOT)
    with disk_directory() as directory:
        program = stripped(build("idle", directory)).path
        figures = {}
        for busy in (BUSY, 0):
            progress(f"starting {PROCESSES} Go processes, {busy} of them busy")
            with crowd(program, busy) as homes:
                progress("looking")
                figures[busy] = measured(hierarchy, homes, looks)
            tell(busy, figures[busy])
    assert figures[BUSY]["collections"], "the busy ones were not followed"
    print("\nbars")
    bars = [
        bar(f"looks of a second, {busy} busy", each["look_ms"]["median"] / INTERVAL, BAR_MS, " ms")
        for busy, each in figures.items()
    ]
    publish("go_processes", {"running": figures, "bars": bars})
    return 0


if __name__ == "__main__":
    sys.exit(main())
