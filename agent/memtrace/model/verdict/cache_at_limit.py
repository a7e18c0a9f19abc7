"""cache_at_limit: usage stands at the limit because page cache fills what is free."""

from __future__ import annotations

from memtrace.model.shapes import Advice, Verdict
from memtrace.model.units import size
from memtrace.model.verdict import advice, confidence
from memtrace.model.verdict.case import Case, at_limit, bytes_of
from memtrace.model.verdict.causes import filled_by
from memtrace.model.verdict.evidence import of_cache
from memtrace.model.verdict.go_case import no_memory_limit

RECLAIMABLE = 0.1


def cache_at_limit(case: Case) -> Verdict | None:
    """Applies from 98 % of the effective limit, with a tenth of it clean cache.

    A tenth, and more than slab: what the kernel drops first and can live on without killing.
    """
    limit, clean = case.memory.limit_bytes, case.page_cache.clean_bytes
    if not limit or clean is None or not at_limit(case):
        return None
    if clean < RECLAIMABLE * limit or clean < (case.memory.slab_bytes or 0):
        return None
    return Verdict(
        "cache_at_limit",
        f"Usage is at the limit of {size(limit)} because page cache fills what is free; "
        f"{size(clean)} of it is clean and dropped as needed{filled_by(case)}. "
        "It is not a leak, and this alone does not end in a kill.",
        "info",
        confidence.of_cache(case),
        clean,
        (bytes_of("read again after being dropped", _refaulted(case)), *of_cache(case)),
        (_advice(case, limit), *no_memory_limit(case)),
    )


def _refaulted(case: Case) -> int | None:
    return case.page_cache.refaulted_delta_bytes


def _advice(case: Case, limit: int) -> Advice:
    """Leave it, unless dropped pages are being read again.

    A file read in a loop refaults many times its size in an interval, so what was read again
    is no measure of what is missing: the cache is at most doubled, and then looked at anew.
    """
    refaulted = _refaulted(case)
    if not refaulted:
        why = "the cache gives way to the program's own memory"
        return advice.nothing(why, "files that were dropped are read from disk again")
    why = f"{size(refaulted)} was read again soon after it had been dropped"
    more = min(refaulted, case.page_cache.clean_bytes or 0)
    return advice.limit(case, limit + more, why, "more memory for this container")
