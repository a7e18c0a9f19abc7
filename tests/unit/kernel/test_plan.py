"""From facts to programs: what is missing costs one named feature, or is a blocker."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.kernel.plan import ON_DEMAND, QUESTIONS, SLAB_MARKS, Plan, make_plan, oom_feature
from memtrace.kernel.support import Answers, KernelFacts
from memtrace.samples import Feature

FEATURES = {
    "page_cache",
    "shmem",
    "baseline",
    "cgroup_events",
    "process_events",
    "slab_census",
    "slab_culprits",
}
COMPLETE = Answers(
    tracepoints={**dict.fromkeys(QUESTIONS.tracepoints, 2), "kmem_cache_alloc": 5},
    arguments=dict.fromkeys(QUESTIONS.arguments, 2),
    types=dict.fromkeys(QUESTIONS.types, True),
    members={pair: pair[1] not in ("objcg", "vmstats_local") for pair in QUESTIONS.members},
    enums=dict.fromkeys(QUESTIONS.enums, 4),
    helpers=dict.fromkeys(QUESTIONS.helpers, True),
    offsets=dict(zip(QUESTIONS.offsets, (392, 8, 888), strict=True)),
    layout=dict.fromkeys(QUESTIONS.layout, 8),
)


def plan(**changed: object) -> Plan:
    """The plan of a complete kernel with some answers changed."""
    known = {kind: {**getattr(COMPLETE, kind), **new} for kind, new in changed.items()}  # type: ignore[dict-item]
    return make_plan(KernelFacts(answers=replace(COMPLETE, **known)))


def off(made: Plan) -> set[str]:
    """The features that are off."""
    return {name for name, feature in made.features.items() if not feature.enabled}


def test_a_complete_kernel_has_everything() -> None:
    """Nothing missing: every feature on."""
    made = plan()
    assert made.blockers == ()
    assert set(made.features) == FEATURES
    assert off(made) == set()
    assert made.shmem
    assert made.baseline
    assert made.cgroup_events
    assert made.process_events
    assert not made.pages


@pytest.mark.parametrize(
    ("tracepoint", "feature"),
    [
        ("cgroup_mkdir", "cgroup_events"),
        ("cgroup_rmdir", "cgroup_events"),
        ("cgroup_release", "cgroup_events"),
        ("sched_process_exec", "process_events"),
        ("sched_process_exit", "process_events"),
        ("mm_lru_insertion", "shmem"),
        ("kmem_cache_alloc", "slab_culprits"),
    ],
)
def test_a_missing_event_costs_its_feature_alone(tracepoint: str, feature: str) -> None:
    """One tracepoint less switches off one feature, with a reason."""
    made = plan(tracepoints={tracepoint: None})
    assert made.blockers == ()
    assert off(made) == {feature}
    assert made.features[feature].reason


def test_without_bpf_loop_there_is_no_baseline() -> None:
    """Kernels before 5.17 cannot walk: the baseline is off, all else stays."""
    made = plan(helpers={"loop": False})
    assert off(made) == {"baseline", "slab_census"}
    assert not made.baseline


def test_without_what_the_walk_reads_there_is_no_baseline() -> None:
    """A member that only the walk needs costs the baseline alone, which names it."""
    made = plan(layout={("xarray", "xa_head"): None})
    assert off(made) == {"baseline"}
    assert "struct xarray has no member xa_head" in made.features["baseline"].reason


def test_without_a_walk_shared_memory_is_partial() -> None:
    """What the LRU tells is never corrected, and the feature says so."""
    assert "partial" in plan(helpers={"loop": False}).features["shmem"].reason


@pytest.mark.parametrize(
    ("arguments", "place"), [(5, None), (5, 0), (6, 2)], ids=["5.10", "elsewhere", "6.0"]
)
def test_slab_culprits_need_the_cache_told(arguments: int, place: int | None) -> None:
    """Before 6.1 the event had no such argument, or other ones behind it: off, and said so."""
    made = plan(
        tracepoints={"kmem_cache_alloc": arguments},
        arguments={("kmem_cache_alloc", "kmem_cache"): place},
    )
    assert off(made) == {"slab_culprits"}
    assert "before 6.1" in made.features["slab_culprits"].reason


def test_a_lagging_memory_stat_is_said() -> None:
    """Before 5.13 the kernel keeps some pages of each CPU out of memory.stat for good."""
    assert plan().features["page_cache"].reason == "exact"
    old = plan(members={("mem_cgroup", "vmstats_local"): True})
    assert "behind" in old.features["page_cache"].reason
    assert old.features["page_cache"].enabled
    assert (plan().stat_lag, old.stat_lag) == (0, 32)


def test_number_zero_is_a_number() -> None:
    """An enumerator of value 0 is known."""
    assert plan(enums={("cgroup_subsys_id", "memory_cgrp_id"): 0}).blockers == ()


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("tracepoints", "mm_filemap_add_to_page_cache"),
        ("tracepoints", "mm_filemap_delete_from_page_cache"),
        ("members", ("mem_cgroup", "css")),
        ("members", ("kernfs_node", "id")),
        ("helpers", "ringbuf_query"),
        ("enums", ("pageflags", "PG_head")),
        ("enums", ("cgroup_subsys_id", "memory_cgrp_id")),
    ],
)
def test_what_the_ledger_needs_is_a_blocker(kind: str, missing: object) -> None:
    """Without it no program loads: one blocker that names it, and no feature is on."""
    made = plan(**{kind: {missing: None}})
    name = missing[-1] if isinstance(missing, tuple) else missing
    assert len(made.blockers) == 1
    assert str(name) in made.blockers[0]
    assert off(made) == FEATURES
    assert (made.baseline, made.cgroup_events, made.process_events) == (False, False, False)


@pytest.mark.parametrize("reparents", [True, False])
def test_a_kernel_that_reparents_is_known_by_its_types(reparents: bool) -> None:
    """Folios charged through an obj_cgroup go over to the parent; everything is on all the same."""
    made = plan(members={("mem_cgroup_per_node", "objcg"): reparents})
    assert made.reparents is reparents
    assert (made.blockers, off(made)) == ((), set())


BULLSEYE = {  # what Debian's 5.10 answers
    "members": {
        ("folio", "memcg_data"): False,
        ("folio", "_nr_pages"): False,
        ("folio", "_folio_nr_pages"): False,
        ("page", "memcg_data"): False,
    },
    "helpers": {"loop": False, "get_current_task_btf": False, "task_pt_regs": False},
}


def test_an_old_kernel_gets_the_programs_about_pages() -> None:
    """5.10 has no folios: its pages are followed, and only what walks is off."""
    made = plan(**BULLSEYE)
    assert made.blockers == ()
    assert made.pages
    assert off(made) == {"baseline", "slab_census"}
    assert "before 5.17" in made.features["baseline"].reason
    assert made.shmem
    assert all(watched.missing for watched in made.on_demand.values())


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("members", ("folio", "memcg_data")),
        ("helpers", "get_current_task_btf"),
        ("helpers", "task_pt_regs"),
    ],
)
def test_what_only_the_programs_about_folios_need(kind: str, missing: object) -> None:
    """Without it pages are followed, which need none of it."""
    made = plan(**{kind: {missing: None}})
    assert made.blockers == ()
    assert made.pages


def test_a_folio_tells_its_size_by_either_name() -> None:
    """The member was renamed in 6.15; a folio with neither is read as a page, without a walk."""
    new, old = ("folio", "_nr_pages"), ("folio", "_folio_nr_pages")
    assert not plan(members={new: None}).pages
    assert not plan(members={old: None}).pages
    made = plan(members={new: None, old: None})
    assert made.pages
    assert not made.baseline
    assert "before 6.1" in made.features["baseline"].reason


@pytest.mark.parametrize(
    "missing", [("page", "mapping"), ("page", "compound_nr"), ("task_struct", "stack")]
)
def test_what_pages_need_is_a_blocker_only_without_folios(missing: tuple[str, str]) -> None:
    """New kernels may lose what only the programs for old ones read."""
    assert plan(members={missing: None}).blockers == ()
    members = {**BULLSEYE["members"], missing: None}
    (blocker,) = plan(**{**BULLSEYE, "members": members}).blockers
    assert missing[1] in blocker


def test_a_page_without_an_owner_is_a_blocker() -> None:
    """Neither of the two names of the member: nobody can be charged."""
    members = {**BULLSEYE["members"], ("page", "mem_cgroup"): None}
    (blocker,) = plan(**{**BULLSEYE, "members": members}).blockers
    assert "pays" in blocker


def test_unreadable_types_are_one_blocker() -> None:
    """The reason is said once, in the kernel's words."""
    made = make_plan(KernelFacts(btf_problem="No such file or directory", answers=COMPLETE))
    assert len(made.blockers) == 1
    assert "No such file or directory" in made.blockers[0]


MAYBE = st.sampled_from([None, False, True])
NUMBER = st.none() | st.integers(-1, 64)
ANSWERS = st.builds(
    Answers,
    tracepoints=st.fixed_dictionaries(dict.fromkeys(QUESTIONS.tracepoints, NUMBER)),
    arguments=st.fixed_dictionaries(dict.fromkeys(QUESTIONS.arguments, NUMBER)),
    types=st.fixed_dictionaries(dict.fromkeys(QUESTIONS.types, MAYBE)),
    members=st.fixed_dictionaries(dict.fromkeys(QUESTIONS.members, MAYBE)),
    enums=st.fixed_dictionaries(dict.fromkeys(QUESTIONS.enums, NUMBER)),
    helpers=st.fixed_dictionaries(dict.fromkeys(QUESTIONS.helpers, MAYBE)),
    layout=st.fixed_dictionaries(dict.fromkeys(QUESTIONS.layout, NUMBER)),
)


@given(ANSWERS, st.text(max_size=9))
def test_any_facts_make_a_plan(answers: Answers, problem: str) -> None:
    """Never an exception: all features are named, and a blocked plan attaches nothing."""
    made = make_plan(KernelFacts(answers=answers, btf_problem=problem))
    assert set(made.features) == FEATURES
    assert all(made.features[name].reason for name in off(made))
    assert made.baseline == made.features["baseline"].enabled
    assert made.cgroup_events == made.features["cgroup_events"].enabled
    assert made.process_events == made.features["process_events"].enabled
    assert made.shmem == made.features["shmem"].enabled
    if made.blockers:
        assert off(made) == FEATURES
    if problem:
        assert made.blockers


def test_subvolumes_are_found_from_the_inode() -> None:
    """Back from the inode to the root, and on to its device."""
    assert plan().subvolumes == (384, 888)


@pytest.mark.parametrize("pair", QUESTIONS.offsets)
def test_without_one_offset_there_are_no_subvolumes(pair: tuple[str, str]) -> None:
    """A kernel without btrfs: every file has its superblock's device."""
    made = plan(offsets={pair: None})
    assert made.subvolumes == (0, 0)
    assert off(made) == set()


@pytest.mark.parametrize("mark", SLAB_MARKS)
def test_either_mark_of_slab_pages_will_do(mark: tuple[str, str]) -> None:
    """A kernel has the one or the other: with one of them the census can be taken."""
    assert not off(plan(enums={mark: None}))


def test_unknown_slab_pages_cost_the_census_alone() -> None:
    """A kernel that marks its slabs in a third way: the census is off, with a reason."""
    made = plan(enums=dict.fromkeys(SLAB_MARKS))
    assert off(made) == {"slab_census"}
    assert "marks" in made.features["slab_census"].reason


def test_what_is_watched_on_demand_uses_the_events_there_are() -> None:
    """Linux 5.18 renamed one event: whichever there is."""
    renamed = plan(tracepoints={"writeback_dirty_page": None})
    assert renamed.on_demand["dirtiers"].programs == ("on_writeback_dirty_folio",)
    older = plan(tracepoints={"writeback_dirty_folio": None})
    assert older.on_demand["dirtiers"].programs == ("on_writeback_dirty_page",)


@pytest.mark.parametrize("name", sorted(ON_DEMAND))
def test_without_events_a_watch_says_what_is_lost(name: str) -> None:
    """Its feature is off for good, and everything else goes on."""
    made = plan(tracepoints=dict.fromkeys(ON_DEMAND[name]))
    assert made.on_demand[name].programs == ()
    assert ON_DEMAND[name][0] in made.on_demand[name].missing
    assert off(made) == set()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"tracepoints": {"mark_victim": 1}}, "a number only"),
        ({"tracepoints": {"mark_victim": None}}, "a number only"),
        ({"tracepoints": {"signal_generate": None}}, "signal_generate"),
        ({"helpers": {"loop": False}}, "loop"),
        ({"members": {("mem_cgroup", "vmstats"): False}}, "vmstats"),
    ],
)
def test_kills_are_told_where_the_kernel_says_whom(
    changed: dict[str, dict[object, object]], says: str
) -> None:
    """Elsewhere the feature is off, with the reason and what is lost."""
    known = {kind: {**getattr(COMPLETE, kind), **new} for kind, new in changed.items()}
    assert oom_feature(KernelFacts(answers=COMPLETE)) == Feature(True)
    feature = oom_feature(KernelFacts(answers=replace(COMPLETE, **known)))  # type: ignore[arg-type]
    assert not feature.enabled
    assert says in feature.reason
    assert "counters alone" in feature.reason
