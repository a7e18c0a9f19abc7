"""What the kubelet counts, what reclaim could take, and the verdicts that follow from both."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from memtrace.model import words
from memtrace.model.shapes import Verdict, WorkingSet
from memtrace.model.snapshot import snapshot
from memtrace.model.working_set import explain, given_back
from memtrace.samples import Ledger, Memory, Swap
from tests.unit.model.builders import MIB, added, cgroup, sample

MEMORY = Memory(
    usage_bytes=1000 * MIB,
    inactive_file_bytes=100 * MIB,
    active_file_bytes=300 * MIB,
    anon_bytes=400 * MIB,
    file_bytes=430 * MIB,
    shmem_bytes=30 * MIB,
    dirty_bytes=15 * MIB,
    writeback_bytes=5 * MIB,
    slab_bytes=170 * MIB,
    slab_reclaimable_bytes=150 * MIB,
    kernel_bytes=170 * MIB,
    sock_bytes=0,
)


def judged(memory: Memory) -> Verdict:
    """The verdict on one cgroup whose ledger explains all of its cache."""
    ledger = Ledger(added=added(read=memory.file_bytes or 0), baseline_bytes=0)
    return (
        snapshot(sample(cgroup(1, memory=memory, ledger=ledger)), None, None).containers[0].verdict
    )


def test_all_views_stand_side_by_side() -> None:
    """Usage, the kubelet's figure, and clean listed file cache plus reclaimable slab."""
    assert explain(MEMORY) == WorkingSet(
        usage_bytes=1000 * MIB,
        working_set_bytes=900 * MIB,
        active_file_bytes=300 * MIB,
        reclaimable_slab_bytes=150 * MIB,
        rss_bytes=400 * MIB,
        reclaimable_file_bytes=380 * MIB,
        reclaimable_bytes=530 * MIB,
    )


def test_of_the_working_set_only_what_is_active_comes_back() -> None:
    """The inactive file cache is not in the working set, so it cannot come out of it."""
    assert given_back(explain(MEMORY)) == (530 - 100) * MIB


def test_unknown_slab_is_no_slab() -> None:
    """On v1 all that is reclaimable is unknown; the file cache is known, and the least there is."""
    figures = explain(replace(MEMORY, slab_reclaimable_bytes=None))
    assert figures.reclaimable_bytes is None
    assert figures.reclaimable_file_bytes == 380 * MIB
    assert given_back(figures) == 280 * MIB
    assert "at least 280 MiB of that" in words.working_set(figures)


def test_a_removed_cgroup_has_no_figures() -> None:
    """Unknown is None, and no sentence is made of it."""
    figures = explain(None)
    assert set(figures) == {None}
    assert given_back(figures) is None
    assert words.working_set(figures) == ""


FIGURE = st.none() | st.integers(0, 1 << 40)


@given(st.builds(Memory, *[FIGURE] * 14))
def test_no_figure_is_negative(memory: Memory) -> None:
    """Whatever the kernel's counters say while they lag, nothing is below zero."""
    figures = explain(memory)
    assert all(figure is None or figure >= 0 for figure in (*figures, given_back(figures)))


def test_the_sentence_names_both_views() -> None:
    """In plain words, with this container's own numbers."""
    assert words.working_set(explain(MEMORY)) == (
        "The kubelet counts 900 MiB of 1.0 GiB as working set; 430 MiB of that would be given "
        "back under pressure."
    )


def test_the_machines_swap_in_words() -> None:
    """Nothing is said where there is no swap, or where that is unknown."""
    assert words.swap(Swap(64 * MIB, 24 * MIB)) == "24 MiB of 64 MiB swap used"
    assert words.swap(Swap(0, 0)) == words.swap(None) == ""


def test_working_set_inflated() -> None:
    """Half of the working set, less than half of the usage as clean cache: slab does it."""
    memory = replace(
        MEMORY,
        anon_bytes=200 * MIB,
        kernel_bytes=370 * MIB,
        slab_bytes=370 * MIB,
        slab_reclaimable_bytes=350 * MIB,
    )
    verdict = judged(memory)
    assert (verdict.id, verdict.severity, verdict.bytes) == (
        "working_set_inflated",
        "info",
        630 * MIB,
    )
    assert [advice.setting for advice in verdict.advice] == ["nothing", "memory request"]
    assert verdict.advice[1].proposed == 900 * MIB


def test_a_working_set_that_is_mostly_the_programs_own_is_healthy() -> None:
    """Below half nothing is said."""
    assert judged(MEMORY).id == "healthy"


def swapped(amount: int, **more: int | None) -> Verdict:
    """The verdict with so many MiB in swap, beside 400 MiB of anonymous memory."""
    return judged(replace(MEMORY, swap_bytes=amount * MIB, **more))  # type: ignore[arg-type]


def test_swap_in_use() -> None:
    """From a tenth of the anonymous memory on: how much, and which limit would hold it all."""
    verdict = swapped(100, limit_bytes=1000 * MIB)
    assert (verdict.id, verdict.severity, verdict.bytes) == ("swap_in_use", "info", 100 * MIB)
    assert "100 MiB (20%)" in verdict.claim
    advice = verdict.advice[0]
    assert (advice.setting, advice.current, advice.proposed) == (
        "memory limit",
        1000 * MIB,
        1100 * MIB,
    )


def test_little_in_swap_is_not_missed() -> None:
    """Below a tenth, or below 16 MiB."""
    assert swapped(40).id == "healthy"
    assert judged(
        replace(MEMORY, anon_bytes=MIB, usage_bytes=601 * MIB, swap_bytes=15 * MIB)
    ).id != ("swap_in_use")


def test_swap_at_its_limit_is_a_warning() -> None:
    """What grows then has nowhere to go."""
    verdict = swapped(100, swap_limit_bytes=100 * MIB)
    assert verdict.severity == "warning"
    assert "may end in a kill" in verdict.claim


def test_swap_without_a_limit_asks_for_nothing() -> None:
    """No limit of the container's could be raised."""
    assert swapped(100).advice[0].setting == "nothing"
