"""What the figures of one cgroup mean. One file per verdict; this one only asks them in turn.

Refusals come first: a verdict on figures that contradict each other would be a guess.
"""

from __future__ import annotations

from collections.abc import Callable

from memtrace.model.shapes import Verdict
from memtrace.model.verdict import not_enough_evidence
from memtrace.model.verdict.cache_at_limit import cache_at_limit
from memtrace.model.verdict.case import Case
from memtrace.model.verdict.healthy import healthy
from memtrace.model.verdict.page_cache_reclaimable import page_cache_reclaimable
from memtrace.model.verdict.slab_reclaimable import slab_reclaimable
from memtrace.model.verdict.swap_in_use import swap_in_use
from memtrace.model.verdict.working_set_inflated import working_set_inflated

_IN_TURN: tuple[Callable[[Case], Verdict | None], ...] = (
    not_enough_evidence.unreadable,
    not_enough_evidence.contradicted,
    swap_in_use,
    cache_at_limit,
    slab_reclaimable,
    page_cache_reclaimable,
    working_set_inflated,
    not_enough_evidence.no_baseline,
    healthy,
)


def judge(case: Case) -> Verdict:
    """Return the first verdict that applies; without one the evidence does not suffice."""
    for applies in _IN_TURN:
        verdict = applies(case)
        if verdict is not None:
            return verdict
    return not_enough_evidence.no_rule(case)
