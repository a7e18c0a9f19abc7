"""From a kill and the minute before it to a record that explains it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memtrace.kills import CGROUP_KILL, COUNTERS, DAEMON, MACHINE, OomEvent
from memtrace.model import oom_gaps
from memtrace.model.oom_history import background
from memtrace.model.oom_shapes import Postmortem
from memtrace.model.postmortem import explain, paths_of
from memtrace.model.shapes import Verdict
from memtrace.samples import CgroupSample
from tests.unit.model.builders import MIB
from tests.unit.model.judged import heap, process
from tests.unit.model.kill_events import (
    LIMIT,
    MEMORY,
    NAMES,
    POD,
    WEB,
    event,
    levels,
    past,
    task,
)


def explained(made: OomEvent, samples: Any = None, names: Any = None) -> Postmortem:
    """The record, with everything known."""
    before = background(past() if samples is None else samples)
    return explain(made, before, NAMES if names is None else names, "node-1", "boot-1")


def test_a_container_at_its_own_limit() -> None:
    """Kind, names, limit, usage, and what it consisted of, from the kill itself."""
    made = explained(event())
    assert made.kill == "memcg"
    assert (made.oom_cgroup.limit, made.oom_cgroup.usage) == (LIMIT, LIMIT)
    assert made.oom_cgroup.limited_by == "memory"
    assert made.victims[0].place.identity == NAMES[WEB]
    assert made.composition.source == "kernel"
    assert made.composition.anon_bytes == MEMORY["anon"]
    assert made.composition.clean_bytes == 2 * MIB
    assert made.composition.unexplained_bytes == 0
    assert made.verdict is not None
    assert made.verdict.id == "anon_growth"


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"cgroup_id": POD, "levels": levels(None, LIMIT)}, "pod"),
        ({"cgroup_id": MACHINE, "memory": None}, "node"),
        ({"cgroup_id": None, "memory": None}, "unknown"),
        ({"source": CGROUP_KILL}, "userspace"),
        ({"source": DAEMON}, "userspace"),
        ({"source": COUNTERS, "victims": (), "trigger": None, "memory": None}, "unknown"),
    ],
)
def test_kinds_are_told_apart(changed: dict[str, Any], kind: str) -> None:
    """By who told, and by whose limit it was."""
    assert explained(event(**changed)).kill == kind


def test_a_limit_within_the_container_is_its_own() -> None:
    """A victim in a cgroup below the container's: nobody else shares that limit."""
    inner = levels()[0]
    chain = (
        inner.__class__(9, "/pod/web/init", MIB, None, MIB, None, 0),
        *levels(),
    )
    made = explained(event(levels=chain, victims=(task(cgroup_id=9),)))
    assert made.kill == "memcg"
    assert made.victims[0].place.identity == NAMES[WEB]
    assert made.victims[0].place.path == "/pod/web/init"


def test_the_minute_before_is_the_cgroups_own() -> None:
    """Seconds count back from the kill; growth is from the first sample to the last."""
    made = explained(event())
    assert [moment.seconds_before for moment in made.history] == [2.5, 1.5, 0.5]
    assert made.sampled is not None
    assert made.sampled.rows.drivers[0].added_delta_bytes == 2 * MIB
    assert any("grew by" in advice.why for advice in made.verdict.advice)  # type: ignore[union-attr]


def test_statistics_that_are_behind_are_not_believed() -> None:
    """The victims' own memory is, where it was most of the usage; else the last sample."""
    behind = {"anon": 0, "file": 0}
    made = explained(event(memory=behind))
    assert (made.composition.source, made.composition.anon_bytes) == ("victims", 60 * MIB)
    assert oom_gaps.VICTIMS_ONLY in made.gaps
    made = explained(event(memory=behind, victims=(task(anon=MIB),)))
    assert (made.composition.source, made.composition.age_seconds) == ("sample", 0.5)
    made = explained(event(memory=behind, victims=(task(anon=MIB),)), samples=[])
    assert made.composition.source == "unknown"
    assert oom_gaps.NO_COMPOSITION in made.gaps


def test_without_samples_it_says_what_is_not_known() -> None:
    """The kill itself is explained nonetheless."""
    made = explained(event(), samples=[])
    assert made.history == ()
    assert made.sampled is None
    assert oom_gaps.NO_SAMPLE in made.gaps
    assert made.verdict is not None
    assert made.verdict.id == "anon_growth"


def test_without_a_baseline_it_says_so() -> None:
    """Files are then only what came since."""
    assert oom_gaps.NO_BASELINE in explained(event(), samples=past(baseline=None)).gaps


@pytest.mark.parametrize(
    ("memory", "verdict"),
    [
        ({"anon": MIB, "file": 61 * MIB, "shmem": 60 * MIB}, "shmem"),
        ({"anon": MIB, "file": 61 * MIB, "shmem": 0, "file_dirty": 60 * MIB}, "dirty_bound"),
        ({"anon": MIB, "file": MIB, "kernel": 61 * MIB}, "slab_reclaimable"),
        ({"anon": 25 * MIB, "file": 38 * MIB, "shmem": 20 * MIB}, "not_enough_evidence"),
    ],
)
def test_the_verdict_is_what_most_of_it_was(memory: dict[str, int], verdict: str) -> None:
    """Clean cache is dropped before anybody is killed: it is never the reason."""
    made = explained(event(memory=memory, victims=(task(anon=MIB),)))
    assert made.verdict is not None
    assert made.verdict.id == verdict


def test_a_machine_without_memory_names_who_had_no_limit() -> None:
    """The largest, with a limit to begin with: less than what it had, which was too much."""
    samples = [
        each.__class__(
            **{
                **{name: getattr(each, name) for name in each.__slots__},
                "cgroups": tuple(
                    c.__class__(
                        c.cgroup_id,
                        c.parent_id,
                        c.path,
                        c.identity,
                        c.state,
                        c.memory and c.memory.__class__(usage_bytes=c.memory.usage_bytes),
                        c.ledger,
                    )
                    for c in each.cgroups
                ),
            }
        )
        for each in past()
    ]
    made = explained(event(cgroup_id=MACHINE, memory=None), samples=samples)
    assert made.verdict is not None
    assert made.verdict.id == "no_limit_node_risk"
    assert "web-0/web" in made.verdict.claim
    (had,) = (each.value for each in made.verdict.evidence if each.text == "web-0/web: usage")
    assert made.verdict.advice[0].setting == "memory limit of web-0/web"
    assert made.verdict.advice[0].proposed == -(-int(0.9 * float(had or 0)) // MIB) * MIB


def test_a_cgroup_killed_far_from_its_limit_was_not_killed_for_it() -> None:
    """Somebody decided: that is said, and nothing is advised."""
    low = levels(usage=MIB)
    made = explained(event(source=CGROUP_KILL, levels=low, memory={"anon": MIB, "file": 0}))
    assert made.verdict is not None
    assert made.verdict.severity == "info"
    assert "java killed the whole cgroup" in made.verdict.claim
    assert made.verdict.advice[0].setting == "nothing"


def test_kills_of_a_gap_say_that_nobody_watched() -> None:
    """How many, and nothing else."""
    late = event(source=COUNTERS, victims=(), trigger=None, memory=None, kills=2, levels=())
    made = explained(late)
    assert made.verdict is not None
    assert made.verdict.claim.startswith("2 processes were killed")
    assert made.gaps[0] == oom_gaps.LATE


def test_names_are_asked_for_every_cgroup_of_a_kill() -> None:
    """Those of the levels, and a trigger's from elsewhere by the samples."""
    elsewhere = event(trigger=task(cgroup_id=POD), levels=levels()[:1])
    assert paths_of(elsewhere, background(past())) == {WEB: "/pod/web", POD: "/pod"}


def go_killed(heap: Any, **facts: Any) -> Verdict:
    """The verdict on a Go program killed at 64 MiB, sampled before."""
    samples = [
        replace(each, cgroups=tuple(_with_go(cgroup, heap, facts) for cgroup in each.cgroups))
        for each in past()
    ]
    made = explained(event(), samples).verdict
    assert made is not None
    return made


def _with_go(cgroup: CgroupSample, heap: Any, facts: dict[str, Any]) -> CgroupSample:
    if cgroup.path != "/pod/web" or cgroup.memory is None:
        return cgroup
    memory = replace(cgroup.memory, kernel_bytes=0, shmem_bytes=0, active_file_bytes=0)
    return replace(cgroup, memory=memory, go=(process(heap, pid=42, **facts),))


def test_a_heap_goal_beyond_the_limit_explains_the_kill() -> None:
    """S5: live heap, goal and limit, and what would have held it back."""
    made = go_killed(heap(40, 80, 62))
    assert (made.id, made.severity) == ("go_goal_over_limit", "critical")
    assert "The limit of 64 MiB was reached" in made.claim
    assert (
        "heap goal of app exceeded the limit: live 40 MiB, goal 80 MiB > limit 64 MiB; "
        "set GOMEMLIMIT=57MiB" in made.claim
    )
    assert made.advice[0].setting == "GOMEMLIMIT"
    assert made.others == ("anon_growth",)


def test_more_procs_than_cpus_explain_the_kill() -> None:
    """S3: before the goal that is beyond the limit because of it."""
    made = go_killed(heap(40, 80, 62, gomaxprocs=32), cpu_quota=2.0)
    assert (made.id, made.severity) == ("gomaxprocs_over_quota", "critical")
    assert "GOMAXPROCS 32 under a quota of 2 CPUs" in made.claim
    assert made.others == ("go_goal_over_limit", "anon_growth")


def test_a_heap_that_was_held_does_not_explain_the_kill() -> None:
    """Something else in the container did, so no Go setting is blamed."""
    made = go_killed(heap(20, 40, 40, gomemlimit=45))
    assert made.id == "anon_growth"
    assert not any(advice.setting.startswith("GO") for advice in made.advice)
