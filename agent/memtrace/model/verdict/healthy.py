"""healthy: no figure stands out. Says nothing about what is not measured yet."""

from __future__ import annotations

from memtrace.model.shapes import Verdict
from memtrace.model.units import percent, size
from memtrace.model.verdict.case import Case, bytes_of, kept_bytes
from memtrace.model.verdict.evidence import of_go
from memtrace.model.verdict.go_case import programs

ROOM = 0.9


def healthy(case: Case) -> Verdict | None:
    """Applies where what cannot be dropped is below 90 % of the effective limit, or without one.

    90 %: above it the kernel reclaims often, and one more burst may end in a kill. A Go program
    that GOMEMLIMIT holds below the limit may fill the rest: that is what it was told to do.
    """
    limit, usage = case.memory.limit_bytes, case.memory.usage_bytes
    kept = kept_bytes(case)
    if kept is None:
        kept = usage
    held = _held(case)
    if limit is not None and not held and (kept is None or kept > ROOM * limit):
        return None
    claim = "Nothing stands out."
    if limit:
        claim = f"Nothing stands out: {percent(usage, limit)} of the limit is used{held}."
    evidence = (
        bytes_of("memory usage", usage),
        bytes_of("effective limit", limit),
        bytes_of("of it the kernel cannot drop", kept),
        *of_go(case),
    )
    return Verdict("healthy", claim, "ok", 0.7, usage, evidence)


def _held(case: Case) -> str:
    """Return that GOMEMLIMIT holds what fills the limit; empty where it does not."""
    limit = case.memory.limit_bytes or 0
    for program in programs(case):
        own, other = program.heap.gomemlimit_bytes, program.row.beside.other_bytes
        if own is not None and other is not None and own + other <= limit:
            return f", and GOMEMLIMIT {size(own)} holds {program.name} below it"
    return ""
