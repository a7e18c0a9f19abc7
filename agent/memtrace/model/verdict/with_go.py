"""The rules for a container with Go programs in it, causes before what follows from them."""

from __future__ import annotations

from memtrace.model.verdict import FIRST, PRESSURE, REST, Rule
from memtrace.model.verdict.gc_death_spiral import gc_death_spiral
from memtrace.model.verdict.go_goal_over_limit import go_goal_over_limit
from memtrace.model.verdict.go_heap_idle import go_heap_idle
from memtrace.model.verdict.go_live_growth import go_live_growth
from memtrace.model.verdict.gogc_low import gogc_low
from memtrace.model.verdict.gomaxprocs_over_quota import gomaxprocs_over_quota
from memtrace.model.verdict.gomemlimit_at_limit import gomemlimit_at_limit

RULES: tuple[Rule, ...] = (
    gc_death_spiral,
    gomemlimit_at_limit,
    gomaxprocs_over_quota,
    *FIRST,
    go_goal_over_limit,
    gogc_low,
    *PRESSURE,
    go_live_growth,
    *REST,
    go_heap_idle,
)
AT_A_KILL: tuple[Rule, ...] = (
    gc_death_spiral,
    gomemlimit_at_limit,
    gomaxprocs_over_quota,
    go_goal_over_limit,
)
