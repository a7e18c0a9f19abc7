"""gc_death_spiral: GOMEMLIMIT leaves so little room that the program collects without end."""

from __future__ import annotations

from collections.abc import Iterator

from memtrace.model.shapes import Advice, Verdict
from memtrace.model.units import size
from memtrace.model.verdict import advice, confidence
from memtrace.model.verdict.case import Case
from memtrace.model.verdict.go_case import (
    Program,
    environment,
    heap_evidence,
    programs,
    rate_evidence,
)

NEAR = 0.9
ROOM = 0.25
BUSY = 0.25
OFTEN = 1.0
DOUBLE = 2.0


def gc_death_spiral(case: Case) -> Verdict | None:
    """Applies where GOMEMLIMIT, not GOGC, makes it collect, and that takes a quarter of its CPUs.

    Nine tenths of GOMEMLIMIT mapped: the runtime begins to hold back below it. Less than a
    quarter of the live heap allocated between two collections: as under GOGC=25, four times as
    often as by default. A quarter of the CPUs is what marking takes while it runs, so it runs all
    the time; half is where the runtime's limiter lets the heap outgrow GOMEMLIMIT instead
    (go.dev/doc/gc-guide, "Memory limit"). Where CPU time is unknown: one collection a second.
    """
    for program in programs(case):
        if _spirals(program):
            return _verdict(program)
    return None


def _spirals(program: Program) -> bool:
    heap, limit = program.heap, program.heap.gomemlimit_bytes
    rate, room, share = program.cycles_per_second, program.cycle_room, program.gc_share
    if limit is None or rate is None or room is None or heap.mapped_bytes < NEAR * limit:
        return False
    wanted = heap.gogc / 100 if heap.gogc >= 0 else DOUBLE
    if room >= min(ROOM, wanted / 2):
        return False
    return rate >= OFTEN if share is None else share >= BUSY


def _verdict(program: Program) -> Verdict:
    heap, share = program.heap, program.gc_share
    room = round(100 * (program.cycle_room or 0))
    spent = "" if share is None else f" and spends {share:.0%} of its time on it"
    return Verdict(
        "gc_death_spiral",
        f"{program.name} collects garbage {program.cycles_per_second:.1f} times a second{spent}: "
        f"its live heap of {size(program.live_bytes)} hardly fits under GOMEMLIMIT "
        f"{size(heap.gomemlimit_bytes)} (as if GOGC were {room}).",
        "critical",
        confidence.MEASURED if share is not None else 0.8,
        heap.mapped_bytes,
        (*rate_evidence(program), *heap_evidence(program)),
        tuple(_advice(program)),
    )


def _advice(program: Program) -> Iterator[Advice]:
    heap, beside = program.heap, program.row.beside
    wanted = int(DOUBLE * program.live_bytes)
    if beside.limit_bytes is not None:
        needed = wanted + (beside.other_bytes or 0) + (beside.file_bytes or 0)
        if needed > beside.limit_bytes:
            why = f"room to collect in: twice the live heap of {size(program.live_bytes)}"
            cost = "more memory for this container"
            yield advice.limit(program.case, int(needed / 0.9), why, cost)
    why = "then it collects about as often as by default; or let it hold less"
    cost = "it is killed at the memory limit if that is not raised with it"
    yield environment(program, "GOMEMLIMIT", heap.gomemlimit_bytes, _mib(wanted), why, cost)


def _mib(amount: int) -> int:
    return -(-amount >> 20) << 20
