"""gomemlimit_at_limit: GOMEMLIMIT leaves no room for what Go's runtime does not manage."""

from __future__ import annotations

from memtrace.model.shapes import Advice, Verdict
from memtrace.model.units import size
from memtrace.model.verdict import advice, confidence
from memtrace.model.verdict.case import Case, swap_takes
from memtrace.model.verdict.go_case import (
    Program,
    heap_evidence,
    programs,
    rate_evidence,
    set_memory_limit,
)

HALF = 0.5
DOUBLE = 2.0


def gomemlimit_at_limit(case: Case) -> Verdict | None:
    """Applies where GOMEMLIMIT and the memory outside of Go are more than the memory limit.

    GOMEMLIMIT is soft and covers only what the runtime maps: with it at the limit the kernel
    kills before the runtime holds back (go.dev/doc/gc-guide, "Memory limit": leave 5 to 10 %).
    A warning once what the runtime maps, or its goal, is half the limit; before that it is only
    a setting to correct.
    """
    for program in programs(case):
        limit, own = program.row.beside.limit_bytes, program.heap.gomemlimit_bytes
        if limit and own is not None and own + (program.row.beside.other_bytes or 0) > limit:
            return _verdict(program, limit, own)
    return None


def _verdict(program: Program, limit: int, own: int) -> Verdict:
    heap, other = program.heap, program.row.beside.other_bytes
    near = max(heap.mapped_bytes, heap.heap_goal_bytes) >= HALF * limit
    outside = f"{size(other)} outside of its runtime" if other else "what is outside of it"
    relation = "not below" if own >= limit else "too close to"
    return Verdict(
        "gomemlimit_at_limit",
        f"GOMEMLIMIT {size(own)} of {program.name} is {relation} the memory limit of "
        f"{size(limit)}: with {outside} the kernel {_acts(program, own, limit)} before the runtime "
        "holds back.",
        "warning" if near else "info",
        confidence.MEASURED if other is not None else 0.8,
        heap.mapped_bytes,
        (*heap_evidence(program), *rate_evidence(program)),
        set_memory_limit(program) or (_more(program, limit),),
    )


def _acts(program: Program, own: int, limit: int) -> str:
    """Return what the kernel does at the limit: it kills where swap does not take the rest."""
    beyond = own + (program.row.beside.other_bytes or 0) - limit
    return "swaps" if swap_takes(program.case, beyond) else "kills"


def _more(program: Program, limit: int) -> Advice:
    """Where the live heap does not fit below the limit at all, only a larger one helps."""
    live, beside = program.live_bytes, program.row.beside
    needed = int((DOUBLE * live + (beside.other_bytes or 0) + (beside.file_bytes or 0)) / 0.9)
    why = f"the live heap of {size(live)} has no room to be collected in below {size(limit)}"
    return advice.limit(program.case, needed, why, "more memory for this container")
