"""Runs in the guest: collections of a Go program, and from which code a Go program writes.

Probes attached in each way that the kernel has, perf events always. Prints one JSON object,
see core_workloads.report. Expected figures are what the programs were told to do. Arguments:
the places of the probed functions, and of the functions that write, as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from core_workloads import Checks, report

from memtrace.collect.go_cycles import GoCycle, decode
from memtrace.collect.watches.stacks import EXACTNESS, StackRow, StackWatch
from memtrace.host.hierarchy import find_hierarchy
from memtrace.kernel.errors import BpfError
from memtrace.kernel.go_plan import go_gc_feature, has_uprobe_multi
from memtrace.kernel.go_probe import GoProbe, TimeOffsets
from memtrace.kernel.plan import QUESTIONS, STACKS, make_plan
from memtrace.kernel.session import Session
from memtrace.kernel.support import kernel_facts

COLLECT, WRITE = "/bin/collect", "/bin/write"
CYCLES, SMALL, LARGE, PERIOD = 31, 2003, 6007, 8
TIMES = TimeOffsets(192, 200, 208, 216)

Feature = dict[str, Any]


def collected(many: bool, places: dict[str, int]) -> list[GoCycle]:
    """What was told of a program that collects CYCLES times."""
    found: list[GoCycle | None] = []
    with GoProbe(many) as probe:
        probe.follow(COLLECT, places, TIMES)
        subprocess.run([COLLECT, str(CYCLES), "forced"], input=b"\n\n", check=True, timeout=60)
        probe.drain(lambda record: found.append(decode(record)))
        if probe.unfinished() or any(probe.lost()):
            raise SystemExit("something is left or lost")
    return [cycle for cycle in found if cycle is not None]


def check_collections(checks: Checks, places: dict[str, int]) -> Feature:
    """In each way to attach."""
    facts = kernel_facts(QUESTIONS)
    feature = go_gc_feature(facts)
    told: Feature = {"enabled": feature.enabled, "reason": feature.reason}
    if not feature.enabled:
        checks["go_gc: why not"] = {"expected": True, "got": "before 5.15" in feature.reason}
        return told
    for many in (False, True) if has_uprobe_multi(facts) else (False,):
        cycles = collected(many, places)
        way = "one link" if many else "perf events"
        checks[f"go_gc: {way}"] = {
            "expected": [CYCLES, ["forced"], True],
            "got": [len(cycles), sorted({str(c.trigger) for c in cycles}), all(map(whole, cycles))],
        }
    return told


def whole(cycle: GoCycle) -> bool:
    """Whether every figure is there and makes sense."""
    return (
        0 < cycle.pauses_ns < cycle.wall_ns
        and bool(cycle.marked_bytes)
        and 0 < (cycle.cpu_fraction or 0) <= 1
    )


def check_stacks(checks: Checks, functions: dict[str, list[int]]) -> Feature:
    """Bytes by the function that wrote them, in twentieths of all."""
    plan = make_plan(kernel_facts(QUESTIONS))
    wanted = plan.on_demand[STACKS]
    if wanted.missing:
        checks["stacks: why not"] = {"expected": True, "got": "before 6.1" in wanted.missing}
        return {"enabled": False, "reason": wanted.missing}
    with Session(plan, find_hierarchy(Path("/")).hierarchy_id) as session:
        watch = StackWatch(session, wanted, PERIOD)
        watch.arm()
        if not watch.armed:
            raise SystemExit(watch.feature.reason)
        watch.aim(None)
        command = [WRITE, "/disk", str(SMALL), str(LARGE)]
        subprocess.run(command, input=b"\n", check=True, timeout=60)
        for _ in session.gather():
            pass
        watch.gather()
        rows = watch.table.rows(1)
    checks["stacks: shares"] = {
        "expected": {"main.writeSmall": True, "main.writeLarge": True},
        "got": {
            name: abs(pages_of(rows, place) - pages) < 0.25 * pages
            for (name, place), pages in zip(functions.items(), (SMALL, LARGE), strict=True)
        },
    }
    return {"enabled": True, "reason": EXACTNESS}


def pages_of(rows: list[StackRow], place: list[int]) -> int:
    """Pages of the stacks that this function is in."""
    return sum(row.bytes for row in rows if any(place[0] <= pc < place[1] for pc in row.pcs))


def main() -> None:
    """Check both, report."""
    checks: Checks = {}
    try:
        features = {
            "go_gc": check_collections(checks, json.loads(sys.argv[1])),
            STACKS: check_stacks(checks, json.loads(sys.argv[2])),
        }
    except BpfError as error:
        raise SystemExit(f"{error}\n{error.log}") from error
    report({"features": features}, checks, {})


if __name__ == "__main__":
    main()
