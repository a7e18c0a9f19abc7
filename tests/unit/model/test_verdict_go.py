"""Verdicts on Go programs: each rises, does not just below its threshold, quotes the numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memtrace.model.shapes import Verdict
from memtrace.samples import GoCycles, GoHeap, GoProcess, Swap
from tests.unit.model.builders import MIB
from tests.unit.model.judged import (
    advised,
    at,
    explained,
    heap,
    judged,
    memory,
    one,
    process,
    told,
)


def busy(
    made: GoHeap,
    *,
    cycles: int,
    cpu: float | None,
    each: float,
    limit: int,
    anon: int,
    **more: Any,
) -> Verdict:
    """Ten seconds of a program that collects: `each` MiB are allocated between collections."""
    later = made._replace(allocated_bytes=int(cycles * each * MIB), gc_cycles=cycles)
    marked = made.heap_live_bytes
    gc = None if cpu is None else GoCycles(0, cpu_seconds=0.0, marked_bytes=marked)
    gc_later = None if cpu is None else GoCycles(cycles, cpu_seconds=cpu, marked_bytes=marked)
    figures = memory(anon, limit=limit)
    first = at(0.0, one(figures, process(made, gc, **more)))
    return judged(at(10.0, one(figures, process(later, gc_later, **more))), first)


def still(made: GoHeap, *, limit: int | None, anon: int, **more: Any) -> Verdict:
    """One moment of a program; `more` of its memory and of the process."""
    facts = {name: more.pop(name) for name in ("cpu_quota", "debug", "version") if name in more}
    known = GoProcess(7, 1, "app", "go", **{"version": "go1.25.5", **facts}, heap=made)
    return judged(at(0.0, one(memory(anon, limit=limit, **more), known)))


def test_the_goal_of_the_heap_is_beyond_the_limit() -> None:
    """S5: live 420, goal 840 under 800 MiB; the advice leaves room for what is not Go's."""
    verdict = still(heap(420, mapped=450), limit=800, anon=460, kernel=5, file=30, active_file=20)
    assert (verdict.id, verdict.severity, verdict.bytes) == (
        "go_goal_over_limit",
        "warning",
        840 * MIB,
    )
    assert "live 420 MiB, goal 840 MiB > limit 800 MiB; set GOMEMLIMIT=720MiB" in verdict.claim
    assert told(verdict)["live heap"] == 420 * MIB
    advice = advised(verdict, "GOMEMLIMIT")
    assert advice.proposed == 720 * MIB  # min(0.9 x 800, 800 - (460 - 450 + 5) - 20)
    assert advice.paste == 'env: [{name: GOMEMLIMIT, value: "720MiB"}]'
    full = still(heap(420, mapped=800), limit=800, anon=790)
    assert (full.id, full.severity) == ("go_goal_over_limit", "critical")


def with_swap(mapped: int, free: int, *, swap: int = 0, bound: int | None = None) -> Verdict:
    """420 MiB live under 800 MiB, on a machine with so much free swap; some may be used."""
    figures = memory(min(mapped, 790), limit=800, swap=swap)
    if bound is not None:
        figures = replace(figures, swap_limit_bytes=bound * MIB)
    made = at(0.0, one(figures, process(heap(420, mapped=mapped))))
    return judged(replace(made, swap=Swap((free + swap) * MIB, swap * MIB)))


def test_a_goal_that_swap_takes_is_slow_before_it_is_killed() -> None:
    """S5 with swap: no longer critical, and it says so; without enough of it, it is."""
    full = with_swap(800, free=64)  # the goal is 40 MiB beyond the limit
    assert (full.id, full.severity) == ("go_goal_over_limit", "warning")
    assert "set GOMEMLIMIT=720MiB. Swap can take 40 MiB: it gets slow before" in full.claim
    assert told(full)["free swap of the machine, at least"] == 64 * MIB
    assert with_swap(800, free=64, bound=40).severity == "warning"
    assert with_swap(800, free=64, bound=39).severity == "critical"
    assert with_swap(800, free=64, bound=0).severity == "critical"
    none = with_swap(800, free=0)
    assert none.severity == "critical"
    assert "swap" not in none.claim.lower()


def test_what_is_in_swap_already_counts_as_room() -> None:
    """It is part of the heap; what swap still has to take is only the rest."""
    found = with_swap(800, free=0, swap=40)
    assert "go_goal_over_limit" in (found.id, *found.others)
    assert "critical" not in found.severity


def test_a_goal_below_the_limit_is_none() -> None:
    """Also just below it; with a GOMEMLIMIT that holds; and without any limit."""
    assert still(heap(400), limit=800, anon=400).id == "healthy"
    assert still(heap(401), limit=800, anon=400).id == "go_goal_over_limit"
    assert still(heap(420, gomemlimit=700), limit=800, anon=500).id == "healthy"
    assert still(heap(420), limit=None, anon=500).id == "healthy"


def test_files_in_use_lower_the_advised_limit() -> None:
    """min(0.9 x limit, limit - non-Go memory - file working set)."""
    verdict = still(heap(420, mapped=450), limit=800, anon=450, file=150, active_file=150)
    assert advised(verdict, "GOMEMLIMIT").proposed == 650 * MIB


def test_where_the_live_heap_does_not_fit_no_memory_limit_is_advised() -> None:
    """It would collect without end: a larger limit is what helps."""
    verdict = still(heap(700, mapped=750), limit=800, anon=760)
    assert verdict.id == "go_goal_over_limit"
    assert advised(verdict, "GOMEMLIMIT").proposed == "unset"
    assert advised(verdict, "memory limit").proposed >= 1400 * MIB


def test_what_is_unknown_is_not_said_to_be_too_little() -> None:
    """Without the figures of what is beside it no GOMEMLIMIT is advised, nor advised against."""
    unknown = replace(memory(460, limit=800), active_file_bytes=None)
    verdict = judged(at(0.0, one(unknown, process(heap(420, mapped=450)))))
    assert verdict.id == "go_goal_over_limit"
    assert [advice.setting for advice in verdict.advice] == ["memory limit"]


def test_a_memory_limit_at_the_limit() -> None:
    """S6: GOMEMLIMIT equal to the limit, or too close to it with what is not Go's."""
    verdict = still(heap(300, mapped=400, gomemlimit=800), limit=800, anon=410)
    assert (verdict.id, verdict.severity) == ("gomemlimit_at_limit", "warning")
    assert "GOMEMLIMIT 800 MiB of app is not below the memory limit of 800 MiB" in verdict.claim
    assert advised(verdict, "GOMEMLIMIT").current == 800 * MIB
    assert advised(verdict, "GOMEMLIMIT").proposed == 720 * MIB
    assert "the kernel kills before" in verdict.claim
    swapping = at(0.0, one(memory(410, limit=800), process(heap(300, mapped=400, gomemlimit=800))))
    beside = judged(replace(swapping, swap=Swap(512 * MIB, 0)))
    assert "the kernel swaps before" in beside.claim
    assert still(heap(300, gomemlimit=750), limit=800, anon=700).id == "gomemlimit_at_limit"
    assert still(heap(300, gomemlimit=699), limit=800, anon=700).id == "healthy"


def test_a_memory_limit_at_the_limit_is_no_warning_while_little_is_used() -> None:
    """It is a setting to correct, not a danger."""
    verdict = still(heap(40, gomemlimit=800), limit=800, anon=90)
    assert (verdict.id, verdict.severity) == ("gomemlimit_at_limit", "info")


def test_a_death_spiral() -> None:
    """S6: GOMEMLIMIT, not GOGC, makes it collect, with a third of the CPU time."""
    made = heap(170, 175, 188, gomemlimit=190)
    verdict = busy(made, cycles=57, cpu=6.0, each=17, limit=200, anon=185)
    assert (verdict.id, verdict.severity) == ("gc_death_spiral", "critical")
    assert "collects garbage 5.7 times a second and spends 30% of its time" in verdict.claim
    assert "as if GOGC were 10" in verdict.claim
    assert told(verdict)["collections"] == 5.7
    assert advised(verdict, "memory limit").proposed >= 2 * 170 * MIB
    assert advised(verdict, "GOMEMLIMIT").proposed == 340 * MIB


@pytest.mark.parametrize(
    ("cycles", "cpu", "each", "mapped"),
    [
        (57, 4.9, 17, 188),  # less than a quarter of the CPUs
        (57, 6.0, 43, 188),  # a quarter of the live heap between collections
        (57, 6.0, 17, 170),  # far below GOMEMLIMIT
        (2, 6.0, 17, 188),  # too few to tell
        (9, None, 17, 188),  # CPU time unknown, less than one a second
    ],
)
def test_no_death_spiral(cycles: int, cpu: float | None, each: float, mapped: int) -> None:
    """Just below each threshold."""
    made = heap(170, 175, mapped, gomemlimit=190)
    verdict = busy(made, cycles=cycles, cpu=cpu, each=each, limit=200, anon=160)
    assert verdict.id == "healthy"


def test_a_low_gogc_that_costs() -> None:
    """S6: GOGC=10; the advice says what the heap grows to, and bounds it."""
    made = heap(70, 77, 90, gogc=10)
    verdict = busy(made, cycles=68, cpu=3.0, each=7, limit=400, anon=90)
    assert (verdict.id, verdict.severity) == ("gogc_low", "warning")
    assert "GOGC is 10" in verdict.claim
    assert "6.8 times a second, which takes 15% of its time" in verdict.claim
    assert (advised(verdict, "GOGC").current, advised(verdict, "GOGC").proposed) == (10, 100)
    assert "140 MiB" in advised(verdict, "GOGC").cost
    assert advised(verdict, "GOMEMLIMIT").proposed == 360 * MIB


@pytest.mark.parametrize(
    ("gogc", "cycles", "cpu"), [(26, 68, 3.0), (10, 9, 1.9), (10, 2, 3.0), (10, 9, None)]
)
def test_a_low_gogc_that_costs_nothing(gogc: int, cycles: int, cpu: float | None) -> None:
    """Not low, not a tenth of the CPU time, too few collections, or fewer than one a second."""
    made = heap(70, 77, 90, gogc=gogc)
    assert busy(made, cycles=cycles, cpu=cpu, each=7, limit=400, anon=90).id == "healthy"


def test_a_low_gogc_that_costs_little_is_no_warning() -> None:
    """Just below a tenth of its CPUs, but often: perhaps others have the CPUs, which is said."""
    made = heap(70, 77, 90, gogc=10)
    verdict = busy(made, cycles=68, cpu=1.9, each=7, limit=400, anon=90)
    assert (verdict.id, verdict.severity) == ("gogc_low", "info")
    assert "takes 10% of its time: little, unless others keep it from its CPUs" in verdict.claim


def test_far_more_procs_than_the_quota() -> None:
    """S3: 32 under two CPUs, before the goal that is beyond the limit because of it."""
    made = heap(520, mapped=560, gomaxprocs=32)
    verdict = still(made, limit=1000, anon=560, cpu_quota=2.0, version="go1.21.13")
    assert (verdict.id, verdict.severity) == ("gomaxprocs_over_quota", "warning")
    assert "GOMAXPROCS 32 under a quota of 2 CPUs" in verdict.claim
    assert "32 times instead of 2 (16x too much)" in verdict.claim
    assert verdict.others == ("go_goal_over_limit",)
    assert told(verdict)["heap in use for each P"] == 520 * MIB // 32
    advice = advised(verdict, "GOMAXPROCS")
    assert (advice.current, advice.proposed) == (32, 2)
    assert "automaxprocs" in advice.why
    assert advice.paste == 'env: [{name: GOMAXPROCS, value: "2"}]'


def test_a_binary_told_not_to_look_at_the_quota_can_be_told_to() -> None:
    """Built from an old go.mod: GODEBUG turns it on."""
    made = heap(200, gomaxprocs=32)
    verdict = still(made, limit=None, anon=300, cpu_quota=2.0, debug="containermaxprocs=0")
    assert advised(verdict, "GODEBUG").proposed == "containermaxprocs=1"


@pytest.mark.parametrize(
    ("procs", "quota", "severity"),
    [(2, 1.0, None), (3, 1.0, "info"), (7, 1.0, "info"), (8, 1.0, "warning"), (32, None, None)],
)
def test_procs_and_quota(procs: int, quota: float | None, severity: str | None) -> None:
    """Two are what Go itself sets at least; a warning from four times what is right."""
    made = heap(200, gomaxprocs=procs)
    verdict = still(made, limit=None, anon=300, cpu_quota=quota)
    found = verdict.severity if verdict.id == "gomaxprocs_over_quota" else None
    assert found == severity


def test_a_small_go_program_beside_a_large_one_is_not_the_story() -> None:
    """Less than a quarter of the memory: its settings are not what the memory is about."""
    made = heap(60, mapped=99, gomaxprocs=32, gogc=10)
    assert still(made, limit=None, anon=400, cpu_quota=1.0).id == "healthy"


def test_memory_of_a_peak_that_is_not_given_back() -> None:
    """Beyond what the goal needs; no leak."""
    peak = heap(40, 80, 300)._replace(heap_idle_bytes=260 * MIB, heap_released_bytes=60 * MIB)
    verdict = still(peak, limit=None, anon=250)
    assert (verdict.id, verdict.severity) == ("go_heap_idle", "info")
    assert verdict.bytes == (40 + 200 - 88) * MIB
    assert "only 40 MiB is live" in verdict.claim
    usual = heap(40, 80, 100)._replace(heap_idle_bytes=40 * MIB)
    assert still(usual, limit=None, anon=100).id == "healthy"


def growing(step: float, cycles: int, seconds: int = 60) -> Verdict:
    """A minute of a heap that keeps `step` MiB a second, of which collections tell."""
    samples = []
    for second in range(0, seconds + 1, 2):
        live = int((100 + step * second) * MIB)
        made = heap(100, 400, 500)._replace(heap_live_bytes=live, gc_cycles=cycles * second // 60)
        gc = GoCycles(cycles * second // 60, cpu_seconds=0.01 * second, marked_bytes=live)
        figures = memory(100 + int(step * second), limit=2000)
        samples.append(at(second, one(figures, process(made, gc))))
    return explained(samples)


def test_a_live_heap_that_grows_is_a_suspect() -> None:
    """From collection to collection; with its pace and the time until the limit."""
    verdict = growing(1.0, 30)
    assert (verdict.id, verdict.severity, verdict.bytes) == ("go_live_growth", "warning", 60 * MIB)
    assert "grew by 60 MiB in 60 s, from 100 MiB to 160 MiB, over 30 collections" in verdict.claim
    assert "the limit of 2.0 GiB is reached in 30:40" in verdict.claim
    assert "may be a leak" in verdict.claim
    assert told(verdict)["pace"] == 1.0
    assert verdict.confidence < 0.7
    assert advised(verdict, "run").proposed == "memtrace go 7 --heap"


def test_a_heap_that_does_not_grow_is_none() -> None:
    """Nor one that grows by less than 16 MiB, or was collected only once; top tells no trends."""
    assert growing(0.0, 30).id == "healthy"
    assert growing(0.26, 30).id == "healthy"
    assert growing(1.0, 1).id == "healthy"


def test_a_few_samples_tell_no_trend() -> None:
    """Four are too few, whatever they are."""
    assert growing(5.0, 120, seconds=6).id == "healthy"


def test_another_go_program_has_to_fit_beside_it() -> None:
    """Nine tenths of the limit are shared by what their runtimes have mapped."""
    large, small = heap(300, mapped=300), heap(100, 500, mapped=100)
    first = process(large)
    second = GoProcess(8, 1, "other", "go", version="go1.25.5", heap=small)
    verdict = judged(at(0.0, one(memory(400, limit=500), first, second)))
    assert verdict.id == "go_goal_over_limit"
    assert advised(verdict, "GOMEMLIMIT").proposed == 337 * MIB  # of 450, three of four parts
