"""page_cache_reclaimable: most of the memory is clean page cache, which is not a leak."""

from __future__ import annotations

from memtrace.model.shapes import Advice, Verdict
from memtrace.model.units import percent, size
from memtrace.model.verdict.case import MIB, NOTHING, Case, cache_confidence, cache_evidence

SHARE = 0.5
LEAST_BYTES = 64 * MIB
_HEADROOM = 1.25


def page_cache_reclaimable(case: Case) -> Verdict | None:
    """Applies from half of the usage and 64 MiB.

    Half: from there on the cache, not the program's own memory, is what the usage graph
    shows. 64 MiB: smaller caches are the files of the program itself and worry nobody.
    """
    clean, usage = case.page_cache.clean_bytes, case.memory.usage_bytes
    if clean is None or usage is None or clean < LEAST_BYTES or clean < SHARE * usage:
        return None
    return Verdict(
        "page_cache_reclaimable",
        f"{size(clean)} of {size(usage)} ({percent(clean, usage)}) is clean page cache: "
        "the kernel drops it when memory is needed; it is not a leak.",
        "info",
        cache_confidence(case),
        clean,
        cache_evidence(case),
        (_do_nothing(), *_set_a_limit(case, usage - clean)),
    )


def _do_nothing() -> Advice:
    why = "cached files make reads fast and cost nothing while memory is free"
    return Advice(NOTHING, None, None, why, "usage and working set keep looking large")


def _set_a_limit(case: Case, kept: int) -> tuple[Advice, ...]:
    """Propose a limit only where there is none: the part that stays, and a quarter more."""
    if case.memory.limit_bytes is not None:
        return ()
    proposed = -(-max(int(kept * _HEADROOM), LEAST_BYTES) // MIB) * MIB
    why = f"bounds the cache; {size(kept)} is not clean cache and has to fit"
    return (Advice("memory limit", None, proposed, why, "more reads from the disk"),)
