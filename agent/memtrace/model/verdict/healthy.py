"""healthy: no figure stands out. Says nothing about what is not measured yet."""

from __future__ import annotations

from memtrace.model.shapes import Verdict
from memtrace.model.units import percent
from memtrace.model.verdict.case import Case, bytes_of

ROOM = 0.9


def healthy(case: Case) -> Verdict | None:
    """Applies below 90 % of the effective limit, or without one.

    90 %: above it the kernel reclaims often, and one more burst may end in a kill.
    """
    limit, usage = case.memory.limit_bytes, case.memory.usage_bytes
    if limit is not None and (usage is None or usage > ROOM * limit):
        return None
    claim = "Nothing stands out."
    if limit:
        claim = f"Nothing stands out: {percent(usage, limit)} of the limit is used."
    evidence = (bytes_of("memory usage", usage), bytes_of("effective limit", limit))
    return Verdict("healthy", claim, "ok", 0.7, usage, evidence)
