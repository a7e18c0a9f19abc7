"""go_goal_over_limit: the Go heap may grow beyond the memory limit before it is collected."""

from __future__ import annotations

from collections.abc import Iterator

from memtrace.model.shapes import Advice, Evidence, Verdict
from memtrace.model.units import size
from memtrace.model.verdict import advice, confidence
from memtrace.model.verdict.case import MIB, Case, bytes_of, swap_takes
from memtrace.model.verdict.go_case import (
    Program,
    heap_evidence,
    programs,
    rate_evidence,
    set_memory_limit,
)

NEAR = 0.9


def go_goal_over_limit(case: Case) -> Verdict | None:
    """Applies where the heap's goal, with what is outside of Go, is more than the memory limit.

    The goal is live heap x (1 + GOGC / 100): there the next collection ends (go.dev/doc/gc-guide,
    "GOGC"). Beyond the limit the kernel kills first: measured, the goal told it one collection
    before. Critical from nine tenths of the limit on, unless swap takes what is beyond it: then it
    gets slow before anything is killed, and each collection reads back what was swapped.
    """
    for program in programs(case):
        if _beyond(program):
            return _verdict(program)
    return None


def _beyond(program: Program) -> bool:
    limit, heap = program.row.beside.limit_bytes, program.heap
    if limit is None or (heap.gomemlimit_bytes is not None and heap.gomemlimit_bytes < limit):
        return False
    return _excess(program) > 0


def _excess(program: Program) -> int:
    """Return by how much the goal, with what is outside of Go, is beyond the limit."""
    beside = program.row.beside
    return program.heap.heap_goal_bytes + (beside.other_bytes or 0) - (beside.limit_bytes or 0)


def _swaps(program: Program) -> bool:
    """Tell whether swap takes the excess."""
    return swap_takes(program.case, _excess(program))


def _goal(program: Program) -> str:
    """Return the live heap, its goal and the limit."""
    heap, beside = program.heap, program.row.beside
    other = beside.other_bytes
    outside = f", with {size(other)} outside of its runtime," if other and _needs(program) else ""
    return (
        f"live {size(program.live_bytes)}, goal "
        f"{size(heap.heap_goal_bytes)}{outside} > limit {size(beside.limit_bytes)}"
    )


def _needs(program: Program) -> bool:
    """Tell whether only the memory outside of Go makes it too much."""
    return program.heap.heap_goal_bytes <= (program.row.beside.limit_bytes or 0)


def _verdict(program: Program) -> Verdict:
    heap, beside = program.heap, program.row.beside
    limit, used = beside.limit_bytes or 0, heap.mapped_bytes + (beside.other_bytes or 0)
    exceeds = "exceeded" if program.case.around.killed else "exceeds"
    grave = used >= NEAR * limit and not _swaps(program)
    return Verdict(
        "go_goal_over_limit",
        f"The heap goal of {program.name} {exceeds} the limit: {_goal(program)}; {_then(program)}."
        f"{_slowly(program)}",
        "critical" if grave else "warning",
        confidence.MEASURED if beside.other_bytes is not None else 0.8,
        heap.heap_goal_bytes,
        (*heap_evidence(program), *_swap(program), *rate_evidence(program)),
        _advice(program),
    )


def _then(program: Program) -> str:
    """Return what to do in short, else why it comes to a kill."""
    own = program.heap.gomemlimit_bytes
    if program.holds_live and program.advised_bytes is not None:
        return f"set GOMEMLIMIT={program.advised_bytes // MIB}MiB"
    if own is not None:
        return f"GOMEMLIMIT {size(own)} is too high to hold it back"
    if _swaps(program):
        return "what is beyond it goes to swap"
    return "the kernel kills before the next collection"


def _slowly(program: Program) -> str:
    """Return what comes before a kill where there is swap."""
    if not _swaps(program):
        return ""
    return f" Swap can take {size(_excess(program))}: it gets slow before it is killed."


def _swap(program: Program) -> Iterator[Evidence]:
    """Yield what is in swap, and how much of the machine's is free; nothing without swap."""
    left = program.case.around.machine.swap_left_bytes
    if left:
        yield bytes_of("in swap", program.case.memory.swap_bytes)
        yield bytes_of("swap limit", program.case.memory.swap_limit_bytes)
        yield bytes_of("free swap of the machine, at least", left)


def _advice(program: Program) -> tuple[Advice, ...]:
    """Return a GOMEMLIMIT where the live heap fits under one; else the limit it needs."""
    found = set_memory_limit(program)
    if found:
        return found
    heap, beside = program.heap, program.row.beside
    live, other = program.live_bytes, (beside.other_bytes or 0) + (beside.file_bytes or 0)
    gogc = heap.gogc if heap.gogc > 0 else 100
    needed = int((live * (1 + gogc / 100) + other) / NEAR)
    why = f"the live heap of {size(live)} grows to its goal and then is collected"
    larger = advice.limit(program.case, needed, why, "more memory for this container")
    if beside.advised_bytes is None:
        return (larger,)
    why = f"below the limit there is no room to collect {size(live)} in: it would spiral"
    return (larger, Advice("GOMEMLIMIT", heap.gomemlimit_bytes, "unset", why, ""))
