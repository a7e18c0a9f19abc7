"""go_heap_idle: a Go runtime keeps memory of an earlier peak that it has not given back yet."""

from __future__ import annotations

from memtrace.model.shapes import Advice, Verdict
from memtrace.model.units import size
from memtrace.model.verdict import advice, confidence
from memtrace.model.verdict.case import MIB, Case, bytes_of
from memtrace.model.verdict.go_case import Program, heap_evidence, programs, set_memory_limit

LEAST_BYTES = 32 * MIB
SHARE = 0.25
RETAINED = 1.1


def go_heap_idle(case: Case) -> Verdict | None:
    """Applies where a quarter of the usage, and 32 MiB, is heap beyond what the runtime keeps.

    It keeps what its goal needs and a tenth more, and gives the rest back in the background,
    slowly (runtime/mgcscavenge.go: 1 % of one CPU).
    """
    usage = case.memory.usage_bytes or 0
    for program in programs(case):
        heap = program.heap
        idle = heap.heap_idle_bytes - heap.heap_released_bytes
        kept = min(idle, int(heap.heap_in_use_bytes + idle - RETAINED * heap.heap_goal_bytes))
        if kept >= max(LEAST_BYTES, SHARE * usage):
            return _verdict(program, kept)
    return None


def _verdict(program: Program, kept: int) -> Verdict:
    heap = program.heap
    why = "it is used again by the next peak, or given back over minutes; no leak"
    cost = "it counts as usage until then"
    return Verdict(
        "go_heap_idle",
        f"{size(kept)} of the Go heap of {program.name} is idle: left from a peak, and not given "
        f"back yet; only {size(program.live_bytes)} is live.",
        "info",
        confidence.MEASURED,
        kept,
        (
            bytes_of("idle, not given back, and beyond what the goal needs", kept),
            bytes_of("idle heap", heap.heap_idle_bytes),
            bytes_of("given back", heap.heap_released_bytes),
            *heap_evidence(program),
        ),
        (advice.nothing(why, cost), *_hold_lower(program)),
    )


def _hold_lower(program: Program) -> tuple[Advice, ...]:
    return set_memory_limit(program) if program.heap.gomemlimit_bytes is None else ()
