"""Why a Go program was killed, by the same rules that judge it while it runs. Pure."""

from __future__ import annotations

from memtrace.model.go_shapes import GoTable
from memtrace.model.oom_history import Background
from memtrace.model.oom_shapes import Postmortem
from memtrace.model.shapes import Verdict
from memtrace.model.verdict import GRAVITY
from memtrace.model.verdict.case import Around, Case, case_of, lag_bound


def judge_go(made: Postmortem, before: Background) -> Verdict | None:
    """Return what Go's settings have to do with the kill; None: nothing that is known.

    Runtimes are as they were at the kill where that was read; what changed counts from the
    first sample before it.
    """
    case = _case(made, before)
    if case is None:
        return None
    from memtrace.model.verdict.with_go import AT_A_KILL

    found = [verdict for rule in AT_A_KILL if (verdict := rule(case)) is not None]
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
