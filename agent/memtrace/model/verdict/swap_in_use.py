"""swap_in_use: part of the program's own memory is in swap."""

from __future__ import annotations

from memtrace.model.shapes import Advice, Verdict
from memtrace.model.units import percent, size
from memtrace.model.verdict.case import MIB, NOTHING, Case, bytes_of

SHARE = 0.1
LEAST_BYTES = 16 * MIB
FULL = 0.98


def swap_in_use(case: Case) -> Verdict | None:
    """Applies from 16 MiB and a tenth of the anonymous memory, that in swap included.

    Less than that is what a program touched once at its start, and is not missed.
    """
    swapped, anon = case.memory.swap_bytes, case.memory.anon_bytes
    if swapped is None or anon is None:
        return None
    if swapped < LEAST_BYTES or swapped < SHARE * (swapped + anon):
        return None
    full = _is_full(swapped, case.memory.swap_limit_bytes)
    share = f"{size(swapped)} ({percent(swapped, swapped + anon)}) of its own memory is in swap"
    then = "it comes back from the disk, page by page, when it is used"
    if full:
        then = "swap is at its limit, so that further growth may end in a kill"
    return Verdict(
        "swap_in_use",
        f"{share}: {then}.",
        "warning" if full else "info",
        0.9,
        swapped,
        (
            bytes_of("in swap", swapped),
            bytes_of("swap limit", case.memory.swap_limit_bytes),
            bytes_of("anonymous memory (heap, stacks) not in swap", anon),
            bytes_of("memory usage", case.memory.usage_bytes),
            bytes_of("effective limit", case.memory.limit_bytes),
        ),
        (_advice(case.memory.limit_bytes, swapped),),
    )


def _is_full(swapped: int, limit: int | None) -> bool:
    return limit is not None and swapped >= FULL * limit


def _advice(limit: int | None, swapped: int) -> Advice:
    """With a limit, so much more that all of it fits; without one the whole machine is short."""
    if limit is None:
        why = "no limit of its own pushed it out: the machine was short of memory"
        return Advice(NOTHING, None, None, why, "it stays slow where it uses what is in swap")
    proposed = -(-(limit + swapped) // MIB) * MIB
    why = "what is in swap would fit"
    return Advice("memory limit", limit, proposed, why, "more memory for this container")
