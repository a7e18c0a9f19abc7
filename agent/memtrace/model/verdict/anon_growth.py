"""anon_growth: a program's own memory, outside of Go, grows or fills the limit: a leak suspect."""

from __future__ import annotations

from memtrace.model.course import Growth, growth
from memtrace.model.shapes import Evidence, Verdict
from memtrace.model.units import percent, size
from memtrace.model.verdict import advice, confidence
from memtrace.model.verdict.case import MIB, Case, kept_bytes
from memtrace.model.verdict.evidence import composition
from memtrace.model.verdict.trend import pace, room

LEAST_BYTES = 16 * MIB
SHARE = 0.1
MAIN = 0.5
FULL = 0.9


def anon_growth(case: Case) -> Verdict | None:
    """Applies where it grew by 16 MiB and a tenth, or where it fills nine tenths of the limit.

    What Go's runtimes have mapped is not counted: their growth is judged by what they collect.
    Nine tenths: from there on the kernel reclaims often, and one more burst may end in a kill.
    """
    course = case.around.course
    grown = None if course is None else growth(course.other)
    if grown is not None and _counts(case, grown):
        return _grows(case, grown)
    return _fills(case)


def _counts(case: Case, grown: Growth) -> bool:
    """Tell whether it is enough, and most of the anonymous memory: else Go's is the story."""
    mostly = grown.after_bytes >= MAIN * (case.memory.anon_bytes or 0)
    return mostly and grown.bytes >= max(LEAST_BYTES, SHARE * grown.before_bytes)


def _grows(case: Case, grown: Growth) -> Verdict:
    return Verdict(
        "anon_growth",
        f"The program's own memory (anonymous: heap, stacks) grew by {size(grown.bytes)} in "
        f"{grown.seconds:.0f} s, from {size(grown.before_bytes)} to {size(grown.after_bytes)}"
        f"{room(case, grown)}. It may be a leak, or it has not reached its size yet.",
        "warning",
        confidence.of_trend(grown.seconds),
        grown.bytes,
        (*pace(grown), *composition(case)),
        (advice.run_next(case, "explain {} --for 5m", "a leak goes on, a start comes to its end"),),
    )


def _fills(case: Case) -> Verdict | None:
    memory, kept = case.memory, kept_bytes(case)
    limit, anon, usage = memory.limit_bytes, memory.anon_bytes, memory.usage_bytes
    if not limit or anon is None or usage is None or kept is None or kept < FULL * limit:
        return None
    if memory.swap_bytes or anon - _of_go(case) < MAIN * usage:
        return None
    return Verdict(
        "anon_growth",
        f"{percent(kept, limit)} of the limit of {size(limit)} is memory that the kernel cannot "
        f"drop, {size(anon)} of it the program's own (heap, stacks): if it needs "
        f"{size(max(0, limit - kept))} more, it is killed.",
        "warning",
        confidence.MEASURED,
        anon,
        (*composition(case), Evidence("of the limit", round(100 * kept / limit, 1), "%")),
        (
            advice.limit(
                case,
                int(kept * advice.HEADROOM),
                "a quarter more than it has, if this use is right",
                "more memory for this container",
            ),
            advice.run_next(case, "explain {} --for 1m", "it tells whether it grows"),
        ),
    )


def _of_go(case: Case) -> int:
    rows = case.go.rows if case.go is not None else ()
    return sum(row.process.heap.mapped_bytes for row in rows if row.process.heap is not None)
