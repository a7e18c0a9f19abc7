"""Why a Go program was killed, by the same rules that judge it while it runs. Pure."""

from __future__ import annotations

from memtrace.model.go_shapes import GoTable
from memtrace.model.oom_history import Background
from memtrace.model.oom_shapes import Postmortem
from memtrace.model.shapes import Verdict
from memtrace.model.verdict import GRAVITY, Rule
from memtrace.model.verdict.case import Around, Case, case_of, lag_bound
from memtrace.model.verdict.gc_death_spiral import gc_death_spiral
from memtrace.model.verdict.go_goal_over_limit import go_goal_over_limit
from memtrace.model.verdict.gomaxprocs_over_quota import gomaxprocs_over_quota
from memtrace.model.verdict.gomemlimit_at_limit import gomemlimit_at_limit

_RULES: tuple[Rule, ...] = (
    gc_death_spiral,
    gomemlimit_at_limit,
    gomaxprocs_over_quota,
    go_goal_over_limit,
)


def judge_go(made: Postmortem, before: Background) -> Verdict | None:
    """Return what Go's settings have to do with the kill; None: nothing that is known.

    Runtimes are as they were at the kill where that was read; what changed counts from the
    first sample before it.
    """
    case = _case(made, before)
    if case is None:
        return None
    found = [verdict for rule in _RULES if (verdict := rule(case)) is not None]
    grave = [verdict for verdict in found if GRAVITY[verdict.severity] > 1]
    if not grave:
        return None
    return grave[0]._replace(
        severity="critical", others=tuple(each.id for each in found if each is not grave[0])
    )


def _case(made: Postmortem, before: Background) -> Case | None:
    if made.sampled is None or not made.go or before.last is None:
        return None
    last = before.samples[-1]
    around = Around(
        lag_bound(last), before.last.interval_seconds, mode=last.cgroup_mode, killed=True
    )
    usage = made.composition.usage_bytes
    memory = made.sampled.memory._replace(usage_bytes=usage)
    at_kill = made.sampled._replace(memory=memory, go=GoTable(made.go, 0, made.go))
    return case_of(at_kill, around)
