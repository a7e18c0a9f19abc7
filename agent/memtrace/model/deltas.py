"""What changed since the previous sample, or None where that cannot be known.

A counter that went backwards belongs to something else than before, so it gives no
reading. A cgroup born after memtrace attached starts from nothing, so all it has is new.
"""

from __future__ import annotations

from memtrace.samples import CgroupSample


def gauge(now: int | None, before: int | None) -> int | None:
    """Return the signed change of a level."""
    return None if now is None or before is None else now - before


def counter(now: int | None, before: int | None) -> int | None:
    """Return the growth of a cumulative figure; None if it fell."""
    if now is None or before is None or now < before:
        return None
    return now - before


def newborn(cgroup: CgroupSample) -> bool:
    """Tell whether the cgroup did not exist when the programs were attached."""
    return cgroup.ledger.baseline_bytes == 0
