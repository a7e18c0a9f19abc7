"""swap_in_use: part of the program's own memory is in swap."""

from __future__ import annotations

from collections.abc import Iterator

from memtrace.model.shapes import Advice, Verdict
from memtrace.model.units import percent, size
from memtrace.model.verdict import advice
from memtrace.model.verdict.case import FULL, MIB, Case, bytes_of
from memtrace.model.verdict.evidence import of_go
from memtrace.model.verdict.go_case import Program, programs, set_memory_limit

SHARE = 0.1
LEAST_BYTES = 16 * MIB


def swap_in_use(case: Case) -> Verdict | None:
    """Applies from 16 MiB and a tenth of the anonymous memory, that in swap included.

    Less than that is what a program touched once at its start, and is not missed. A warning where
    swap is at its limit, and where a garbage collector walks through it.
    """
    swapped, anon = case.memory.swap_bytes, case.memory.anon_bytes
    if swapped is None or anon is None:
        return None
    if swapped < LEAST_BYTES or swapped < SHARE * (swapped + anon):
        return None
    full = _is_full(swapped, case.memory.swap_limit_bytes)
    collected = next(programs(case), None)
    share = f"{size(swapped)} ({percent(swapped, swapped + anon)}) of its own memory is in swap"
    then = "it comes back from the disk, page by page, when it is used"
    if full:
        then = "swap is at its limit, so that further growth may end in a kill"
    return Verdict(
        "swap_in_use",
        f"{share}: {then}.{_for_go(collected)}",
        "warning" if full or collected else "info",
        0.9,
        swapped,
        (
            bytes_of("in swap", swapped),
            bytes_of("swap limit", case.memory.swap_limit_bytes),
            bytes_of("anonymous memory (heap, stacks) not in swap", anon),
            bytes_of("memory usage", case.memory.usage_bytes),
            bytes_of("effective limit", case.memory.limit_bytes),
            *of_go(case),
        ),
        tuple(_advice(case, swapped)),
    )


def _for_go(program: Program | None) -> str:
    """A collection touches all live heap, so that nothing of it stays in swap for long."""
    if program is None:
        return ""
    return f" Each collection of {program.name} reads all of its heap back."


def _is_full(swapped: int, limit: int | None) -> bool:
    return limit is not None and swapped >= FULL * limit


def _advice(case: Case, swapped: int) -> Iterator[Advice]:
    """With a limit, so much more that all of it fits; without one the whole machine is short."""
    limit = case.memory.limit_bytes
    for program in programs(case):
        yield from set_memory_limit(program)
    if limit is None:
        why = "no limit of its own pushed it out: the machine was short of memory"
        yield advice.nothing(why, "it stays slow where it uses what is in swap")
        return
    why = "what is in swap would fit"
    yield advice.limit(case, limit + swapped, why, "more memory for this container")
    if case.around.mode == "v2":
        paste = f"echo 0 > {advice.knob(case.cgroup, 'v2', 'memory.swap.max')}"
        why = "without swap it is killed at its limit instead of slow; Kubernetes' default"
        yield Advice("memory.swap.max", None, 0, why, "a kill where it was slow", paste)
