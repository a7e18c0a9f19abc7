"""page_cache_reclaimable: most of the memory is clean page cache, which is not a leak."""

from __future__ import annotations

import math

from memtrace.model.shapes import Advice, Verdict
from memtrace.model.units import percent, size
from memtrace.model.verdict import advice, confidence
from memtrace.model.verdict.case import MIB, Case
from memtrace.model.verdict.causes import filled_by, idle
from memtrace.model.verdict.evidence import of_cache
from memtrace.model.verdict.go_case import no_memory_limit

SHARE = 0.5
LEAST_BYTES = 64 * MIB
ALARM = 0.8


def page_cache_reclaimable(case: Case) -> Verdict | None:
    """Applies from half of the usage and 64 MiB, or with less where the limit is 80 % used.

    Half: from there on the cache, not the program's own memory, is what the usage graph
    shows. 64 MiB: smaller caches are the files of the program itself and worry nobody, but
    for alerts on usage, which go off from 80 % of a limit on.
    """
    clean, usage = case.page_cache.clean_bytes, case.memory.usage_bytes
    if clean is None or usage is None or clean < SHARE * usage:
        return None
    if clean < LEAST_BYTES and usage < ALARM * (case.memory.limit_bytes or math.inf):
        return None
    why = "cached files make reads fast and cost nothing while memory is free"
    cost = "usage and working set keep looking large"
    kept = usage - clean
    return Verdict(
        "page_cache_reclaimable",
        f"{size(clean)} of {size(usage)} ({percent(clean, usage)}) is clean page cache: "
        f"the kernel drops it when memory is needed; it is not a leak.{_cause(case)}",
        "info",
        confidence.of_cache(case),
        clean,
        of_cache(case),
        (
            advice.nothing(why, cost),
            *advice.limit_for(case, kept, "more reads from the disk"),
            *_softly(case, kept),
            *no_memory_limit(case),
            *_look_again(case),
        ),
    )


def _cause(case: Case) -> str:
    """A sentence of its own, after what matters most on a narrow screen."""
    words = filled_by(case).removeprefix(", ")
    return f" {words[:1].upper()}{words[1:]}." if words else ""


def _softly(case: Case, kept: int) -> tuple[Advice, ...]:
    if case.memory.limit_bytes is not None:
        return ()
    return advice.high(case, int(kept * advice.HEADROOM), "bounds the cache and never kills")


def _look_again(case: Case) -> tuple[Advice, ...]:
    """Who put it there is seen only while it grows, or is read."""
    if not idle(case):
        return ()
    why = "who fills or reads it shows while that happens; memtrace agent keeps it for later"
    return (advice.run_next(case, "explain {} --for 5m", why),)
