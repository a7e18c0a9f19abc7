"""From which code pages entered the cache of a cgroup and all below it, by sampled stacks."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from memtrace.model.rank import TOP
from memtrace.samples import StackRow


class StackTable(NamedTuple):
    """The largest rows, and what all that is known of others amounts to."""

    rows: tuple[StackRow, ...] = ()
    other_bytes: int = 0


_bytes = attrgetter("bytes")


def joined(own: Sequence[StackRow] | None, below: Sequence[StackTable | None]) -> StackTable | None:
    """Return the rows of a cgroup and all below it; None where nobody watches any of them."""
    parts = [part for part in below if part is not None]
    if own is None and not parts:
        return None
    rows = sorted(
        [*(own or ()), *(row for part in parts for row in part.rows)], key=_bytes, reverse=True
    )
    rest = sum(row.bytes for row in rows[TOP:]) + sum(part.other_bytes for part in parts)
    return StackTable(tuple(rows[:TOP]), rest)
