"""cache_thrash: the program leaves so little for files that they are read again without end."""

from __future__ import annotations

from collections.abc import Iterator

from memtrace.model.shapes import Evidence, Verdict
from memtrace.model.units import size
from memtrace.model.verdict import advice, confidence
from memtrace.model.verdict.case import MIB, Case, at_limit, bytes_of
from memtrace.model.verdict.evidence import of_cache
from memtrace.model.words import target

TURNS_PER_SECOND = 0.1
LEAST_PER_SECOND = 4 * MIB
MAIN = 0.5


def cache_thrash(case: Case) -> Verdict | None:
    """Applies at 98 % of the limit, where all clean cache is read again within ten seconds.

    Only refaults count, pages that had been in memory not long before (Linux mm/workingset.c).
    Less than half of the limit is left for files: with more it is files that are larger than the
    limit, which cache_at_limit tells of. 4 MiB a second: less no disk notices.
    """
    seconds, refaulted = case.around.seconds, case.page_cache.refaulted_delta_bytes
    clean, limit = case.page_cache.clean_bytes, case.memory.limit_bytes
    if not seconds or refaulted is None or clean is None or not limit or not at_limit(case):
        return None
    rate = refaulted / seconds
    if clean >= MAIN * limit:
        return None
    if rate < max(LEAST_PER_SECOND, TURNS_PER_SECOND * clean):
        return None
    return Verdict(
        "cache_thrash",
        f"{size(int(rate))} a second is read again soon after it was dropped: at the limit of "
        f"{size(limit)} the {size(clean)} that are left for files are too few.",
        "warning",
        confidence.of_cache(case),
        refaulted,
        (
            bytes_of("read again, in a second", int(rate)),
            bytes_of("read again, while it was watched", refaulted),
            *_again(case),
            *of_cache(case),
        ),
        (
            advice.limit(
                case,
                limit + max(clean, limit // 10),
                "a first step: as much again for files, or a tenth; look anew then",
                "more memory for this container",
            ),
            advice.nothing("where the disk is fast and nobody waits it is harmless", "slow reads"),
        ),
    )


def _again(case: Case) -> Iterator[Evidence]:
    """Yield the files that were read again most, where that was followed."""
    known = [
        (file.row.uses.refaulted_bytes, file)
        for file in case.rows.files
        if file.row.uses is not None and file.row.uses.refaulted_bytes
    ]
    known.sort(key=lambda each: -each[0])
    for amount, file in known[:3]:
        yield bytes_of(f"read again: {target(file.row)}", amount)
