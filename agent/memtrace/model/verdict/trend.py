"""How fast something grows and how long there is room for that, in words and as evidence."""

from __future__ import annotations

from memtrace.model.course import Growth
from memtrace.model.shapes import Evidence
from memtrace.model.units import clock, size
from memtrace.model.verdict.case import Case, bytes_of, kept_bytes

_LONG = 86_400.0


def pace(grown: Growth) -> tuple[Evidence, ...]:
    """Return the growth and its pace."""
    return (
        bytes_of("grew by", grown.bytes),
        Evidence("watched for", round(grown.seconds, 1), "s"),
        Evidence("pace", round(grown.per_second / (1 << 20), 2), "MiB per second"),
    )


def room(case: Case, grown: Growth) -> str:
    """Return when the limit is reached at that pace; empty where there is none, or not soon."""
    limit, kept = case.memory.limit_bytes, kept_bytes(case)
    if limit is None or kept is None or limit <= kept:
        return ""
    seconds = grown.seconds_until(limit - kept)
    if seconds > _LONG:
        return ""
    return f"; at this pace the limit of {size(limit)} is reached in {clock(seconds)}"
