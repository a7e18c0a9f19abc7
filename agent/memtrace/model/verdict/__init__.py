"""What the figures of one cgroup mean. One file per verdict; this one asks them all and ranks.

Refusals come first: a verdict on figures that contradict each other would be a guess. Of several
that apply the gravest is the verdict; among warnings a cause comes before what follows from it,
so they stand in that order here; among the rest the one on most bytes is first. The ids of the
others are listed with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from memtrace.model.shapes import Verdict
from memtrace.model.verdict import not_enough_evidence
from memtrace.model.verdict.anon_growth import anon_growth
from memtrace.model.verdict.cache_at_limit import cache_at_limit
from memtrace.model.verdict.cache_thrash import cache_thrash
from memtrace.model.verdict.case import Case
from memtrace.model.verdict.confidence import BAR
from memtrace.model.verdict.dirty_bound import dirty_bound
from memtrace.model.verdict.healthy import healthy
from memtrace.model.verdict.no_limit_node_risk import no_limit_node_risk
from memtrace.model.verdict.page_cache_reclaimable import page_cache_reclaimable
from memtrace.model.verdict.removed_leftover import removed_leftover
from memtrace.model.verdict.shmem import shmem
from memtrace.model.verdict.slab_reclaimable import slab_reclaimable
from memtrace.model.verdict.swap_in_use import swap_in_use
from memtrace.model.verdict.working_set_inflated import working_set_inflated

Rule = Callable[[Case], Verdict | None]

_ALONE: tuple[Rule, ...] = (
    removed_leftover,
    not_enough_evidence.unreadable,
    not_enough_evidence.collapsed,
    not_enough_evidence.contradicted,
)
FIRST: tuple[Rule, ...] = (swap_in_use,)
PRESSURE: tuple[Rule, ...] = (no_limit_node_risk, cache_thrash)
REST: tuple[Rule, ...] = (
    anon_growth,
    dirty_bound,
    shmem,
    cache_at_limit,
    slab_reclaimable,
    page_cache_reclaimable,
)
_WITHOUT_GO = (*FIRST, *PRESSURE, *REST)
_ELSE: tuple[Rule, ...] = (
    working_set_inflated,  # another view of what the findings say, so only where they say nothing
    not_enough_evidence.no_baseline,
    not_enough_evidence.few_samples,
    healthy,
)
GRAVITY = {"critical": 3, "warning": 2, "info": 1}


def judge(case: Case) -> Verdict:
    """Return the verdict, the others that apply beside it; without one, that there is none."""
    alone = _first(_ALONE, case)
    if alone is not None:
        return alone
    found = [verdict for rule in _rules(case) if (verdict := rule(case)) is not None]
    sure = _ranked(verdict for verdict in found if verdict.confidence >= BAR)
    if sure:
        view = working_set_inflated(case)
        others = (*sure[1:], view) if view is not None else sure[1:]
        return sure[0]._replace(others=tuple(each.id for each in others))
    if found:
        return not_enough_evidence.too_unsure(case, found[0])
    return _first(_ELSE, case) or not_enough_evidence.no_rule(case)


def _rules(case: Case) -> tuple[Rule, ...]:
    """Return what to ask; rules on Go are loaded when there is a Go program."""
    if case.go is None or not case.go.rows:
        return _WITHOUT_GO
    from memtrace.model.verdict.with_go import RULES

    return RULES


def _first(rules: Iterable[Rule], case: Case) -> Verdict | None:
    return next((found for rule in rules if (found := rule(case)) is not None), None)


def _ranked(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return the gravest first; what is no warning by bytes, the rest in their order.

    What was pushed out of memory comes before what fills it, however much that is.
    """

    def key(verdict: Verdict) -> tuple[int, bool, int]:
        gravity = GRAVITY[verdict.severity]
        if gravity > 1:
            return (-gravity, False, 0)
        return (-gravity, verdict.id != "swap_in_use", -(verdict.bytes or 0))

    return sorted(verdicts, key=key)
