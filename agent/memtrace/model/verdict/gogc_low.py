"""gogc_low: GOGC is so low that collecting takes a good part of the CPU time."""

from __future__ import annotations

from collections.abc import Iterator

from memtrace.model.go_remarks import LOW_GOGC
from memtrace.model.shapes import Advice, Verdict
from memtrace.model.units import size
from memtrace.model.verdict import confidence
from memtrace.model.verdict.case import Case
from memtrace.model.verdict.go_case import (
    Program,
    environment,
    heap_evidence,
    programs,
    rate_evidence,
    set_memory_limit,
)

BUSY = 0.1
OFTEN = 1.0
DEFAULT = 100


def gogc_low(case: Case) -> Verdict | None:
    """Applies up to GOGC=25 where collecting takes a tenth of its CPUs.

    CPU time of collecting goes with 1 / GOGC: 25 takes four times that of the default, 10 ten
    times (go.dev/doc/gc-guide, "GOGC"). A tenth: less would not be noticed. Where CPU time is
    unknown: one collection a second. At that rate a smaller share is worth a word, no warning: a
    program that others keep from its CPUs collects as dearly, and cannot be told from one that
    has little to do.
    """
    for program in programs(case):
        rate, share = program.cycles_per_second, program.gc_share
        if not 0 <= program.heap.gogc <= LOW_GOGC or rate is None:
            continue
        if rate >= OFTEN or (share is not None and share >= BUSY):
            return _verdict(program, rate)
    return None


def _verdict(program: Program, rate: float) -> Verdict:
    heap, share = program.heap, program.gc_share
    spent = "" if share is None else f", which takes {share:.0%} of its time"
    cheap = share is not None and share < BUSY
    unless = ": little, unless others keep it from its CPUs" if cheap else ""
    return Verdict(
        "gogc_low",
        f"GOGC is {heap.gogc}: {program.name} collects its {size(program.live_bytes)} of live "
        f"heap {rate:.1f} times a second{spent}{unless}.",
        "info" if cheap else "warning",
        confidence.MEASURED if share is not None else 0.8,
        heap.heap_in_use_bytes,
        (*rate_evidence(program), *heap_evidence(program)),
        tuple(_advice(program)),
    )


def _advice(program: Program) -> Iterator[Advice]:
    """GOGC as by default where twice the live heap fits; with a GOMEMLIMIT in any case."""
    heap, beside = program.heap, program.row.beside
    goal = 2 * program.live_bytes
    why = f"about {DEFAULT // max(1, heap.gogc)} times fewer collections"
    cost = f"the heap grows to {size(goal)} before it is collected"
    yield environment(program, "GOGC", heap.gogc, DEFAULT, why, cost)
    if beside.limit_bytes is not None and heap.gomemlimit_bytes is None:
        yield from set_memory_limit(program)
