"""Exact page-cache totals of every cgroup with all below it, living, removed and released.

The kernel's maps are local to a cgroup; this is the only place that adds them up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from memtrace.samples import Ledger


class Totals(NamedTuple):
    """Bytes added by kind, removed by reason, and cached before; None where any part is unknown."""

    added: tuple[int, ...]
    removed: tuple[int, ...]
    baseline_bytes: int | None

    @property
    def attributed_bytes(self) -> int | None:
        """What should be cached now."""
        if self.baseline_bytes is None:
            return None
        return self.baseline_bytes + sum(self.added) - sum(self.removed)


def add_up(ledger: Ledger, below: Sequence[Totals]) -> Totals:
    """Return what the cgroup itself, its released children and the others below it have."""
    added = (ledger.added, ledger.departed_added, *[child.added for child in below])
    removed = (ledger.removed, ledger.departed_removed, *[child.removed for child in below])
    baseline = plus(ledger.baseline_bytes, ledger.departed_baseline_bytes)
    for child in below:
        baseline = plus(baseline, child.baseline_bytes)
    return Totals(_columns(added), _columns(removed), baseline)


def plus(left: int | None, right: int | None) -> int | None:
    """Add, unknown if either is."""
    return None if left is None or right is None else left + right


def _columns(flows: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*flows, strict=True)))
