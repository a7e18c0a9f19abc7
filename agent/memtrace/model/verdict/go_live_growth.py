"""go_live_growth: what a Go program keeps grows from collection to collection: a leak suspect."""

from __future__ import annotations

from memtrace.model.course import Growth, growth
from memtrace.model.shapes import Advice, Verdict
from memtrace.model.units import size
from memtrace.model.verdict import advice, confidence
from memtrace.model.verdict.case import MIB, Case, bytes_of
from memtrace.model.verdict.go_case import Program, heap_evidence, programs
from memtrace.model.verdict.trend import pace, room

LEAST_BYTES = 16 * MIB
SHARE = 0.1
CYCLES = 2


def go_live_growth(case: Case) -> Verdict | None:
    """Applies where the live heap grew by 16 MiB and a tenth over two collections or more.

    Live after a collection: garbage does not count, so that a heap on its way to its goal is
    no growth. A tenth: less is what any server's load does. It may be a cache that fills.
    """
    course = case.around.course
    if course is None:
        return None
    for program in programs(case):
        process = program.row.process
        grown = growth(course.live.get((process.pid, process.start), ()))
        if grown is None or (program.row.gc_cycles_delta or 0) < CYCLES:
            continue
        if grown.bytes >= max(LEAST_BYTES, SHARE * grown.before_bytes):
            return _verdict(case, program, grown)
    return None


def _verdict(case: Case, program: Program, grown: Growth) -> Verdict:
    return Verdict(
        "go_live_growth",
        f"The live heap of {program.name} grew by {size(grown.bytes)} in {grown.seconds:.0f} s, "
        f"from {size(grown.before_bytes)} to {size(grown.after_bytes)}, over "
        f"{program.row.gc_cycles_delta} collections{room(case, grown)}. It may be a leak, or a "
        "cache that fills.",
        "warning",
        confidence.of_trend(grown.seconds),
        grown.bytes,
        (
            *pace(grown),
            bytes_of("memory usage", case.memory.usage_bytes),
            *heap_evidence(program),
        ),
        (_who(case, program), advice.run_next(case, "explain {} --for 5m", "a leak goes on")),
    )


def _who(case: Case, program: Program) -> Advice:
    pid = program.row.process.pid
    why = "it names the functions that hold the heap; look at it twice, some minutes apart"
    return advice.run_next(case, f"go {pid} --heap", why)
