"""What a Go process' settings mean beside its container's limits, one sentence for each finding.

No verdict: that weighs a container as a whole.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from memtrace.model.go_shapes import Beside
from memtrace.model.units import size
from memtrace.samples import GoHeap, GoProcess

LEAST_PROCS = 2
"""Go 1.25 and later set GOMAXPROCS to the CPU quota rounded up, but to two at least."""
QUOTA_AWARE = 25
"""The minor version of Go since which it looks at the quota (go.dev/doc/go1.25, "Runtime")."""
LOW_GOGC = 25
_MINOR = re.compile(r"go1\.([0-9]{1,3})")


def remarks(process: GoProcess, around: Beside) -> tuple[str, ...]:
    """Return the findings; `around`: the limit in effect and what else is below it."""
    if process.heap is None:
        return (process.reason,) if process.reason else ()
    return (*_memory(process.heap, around), *_gogc(process.heap), *_procs(process))


def expected_procs(quota: float) -> int:
    """Return what GOMAXPROCS is under a CPU quota where Go looks at it."""
    return max(LEAST_PROCS, math.ceil(quota))


def _memory(heap: GoHeap, around: Beside) -> Iterator[str]:
    limit, own = around.limit_bytes, heap.gomemlimit_bytes
    if limit is None:
        return
    if own is None and heap.heap_goal_bytes > limit:
        yield (
            f"the heap may grow to its goal of {size(heap.heap_goal_bytes)}, beyond the memory "
            f"limit of {size(limit)}, and no GOMEMLIMIT holds it back{_advised(around)}"
        )
    elif own is None:
        yield f"no GOMEMLIMIT under a memory limit of {size(limit)}{_advised(around)}"
    elif own >= limit:
        yield (
            f"GOMEMLIMIT {size(own)} is not below the memory limit of {size(limit)}: nothing is "
            f"left for what the runtime does not manage{_advised(around)}"
        )
    elif around.other_bytes is not None and own + around.other_bytes > limit:
        yield (
            f"GOMEMLIMIT {size(own)} and {size(around.other_bytes)} outside of its runtime are "
            f"more than the memory limit of {size(limit)}{_advised(around)}"
        )


def _advised(around: Beside) -> str:
    advised = around.advised_bytes
    return f" ({size(advised)} would leave room for the rest)" if advised else ""


def _gogc(heap: GoHeap) -> Iterator[str]:
    if heap.gogc < 0 and heap.gomemlimit_bytes is None:
        yield "GOGC is off and there is no GOMEMLIMIT: its garbage is never collected"
    elif 0 <= heap.gogc <= LOW_GOGC:
        yield f"GOGC is {heap.gogc}: it collects often, which costs CPU time"


def _procs(process: GoProcess) -> Iterator[str]:
    procs = None if process.heap is None else process.heap.gomaxprocs
    if procs is None or process.cpu_quota is None:
        return
    expected = expected_procs(process.cpu_quota)
    if procs > expected:
        yield (
            f"GOMAXPROCS is {procs} under a quota of {process.cpu_quota:g} CPUs: what is kept "
            f"for each P is there {procs} times instead of {expected}"
        )
        if reason := ignores_quota(process):
            yield reason


def ignores_quota(process: GoProcess) -> str:
    """Return why the runtime does not look at the CPU quota; empty where it does, or none knows."""
    found = _MINOR.match(process.version or "")
    if found is None:
        return ""
    if int(found[1]) < QUOTA_AWARE:
        return f"{process.version} does not look at the CPU quota; 1.{QUOTA_AWARE} and later do"
    if "containermaxprocs=0" in (process.debug or "").split(","):
        return "built with containermaxprocs=0 (an old go.mod): it does not look at the CPU quota"
    return ""
