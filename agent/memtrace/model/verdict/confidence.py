"""How sure a verdict is, from 0 to 1, and from where on it is given at all."""

from __future__ import annotations

import math

from memtrace.model.verdict.case import Case

BAR = 0.4
"""Below it a verdict is not given: a coin would be right more often than one in two and a half."""
MEASURED = 0.95
"""What the kernel or the runtime counts itself; the rest is that one moment is not every moment."""
_NO_BASELINE = 0.6
_SAMPLED = 0.05
_FIRST_SECONDS, _DOUBLING = 5.0, 0.08
_TREND, _SUREST_TREND = 0.4, 0.7


def of_cache(case: Case) -> float:
    """Return how sure a statement on page cache is.

    The amounts are the kernel's own, so they hold without a baseline; which files fill the
    cache is then only partly known. The share of the cache without a known origin lowers it, and
    so does a function that was sampled.
    """
    if case.page_cache.baseline_bytes is None:
        return _NO_BASELINE
    rest, file = case.page_cache.unattributed_bytes, case.memory.file_bytes
    share = 0.0 if rest is None or not file else min(1.0, abs(rest) / file)
    sampled = any(driver.row.function for driver in case.rows.drivers[:1])
    return round(MEASURED - share - (_SAMPLED if sampled else 0.0), 2) if share < 0.5 else BAR


def of_trend(seconds: float) -> float:
    """Return how sure it is that what grew for so long is a leak: a suspicion at most.

    A start, a filling cache and a peak grow alike, and last seconds to minutes: each doubling of
    the time rules out some. Five seconds are just enough to say it aloud.
    """
    doublings = math.log2(max(seconds, 0.1) / _FIRST_SECONDS)
    return round(max(0.0, min(_SUREST_TREND, _TREND + _DOUBLING * doublings)), 2)
