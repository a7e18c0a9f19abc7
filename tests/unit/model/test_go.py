"""Go processes of containers: rates, sums, and what their settings mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memtrace.model.go import Bound, joined, own_rows, with_heap
from memtrace.model.go_limits import beside
from memtrace.model.go_remarks import expected_procs, remarks
from memtrace.model.go_shapes import Beside, GoRow
from memtrace.model.modeler import Modeler
from memtrace.samples import (
    CgroupSample,
    GoCycles,
    GoHeap,
    GoHeapFunctions,
    GoProcess,
    HeapFunction,
    Memory,
)
from tests.unit.model.builders import MIB, cgroup, sample

HEAP = GoHeap(100, None, 4, 80 * MIB, 90 * MIB, 10 * MIB, 4 * MIB, 160 * MIB, 100 * MIB, 1000 * MIB)


def process(pid: int = 10, heap: GoHeap | None = HEAP, **facts: object) -> GoProcess:
    """One Go process."""
    return GoProcess(pid, 1, "app", "observed", version="go1.25.5", heap=heap, **facts)  # type: ignore[arg-type]


def holding(*processes: GoProcess) -> CgroupSample:
    """A cgroup with these processes."""
    return replace(cgroup(7, None, "/app"), go=processes)


def rows(now: GoProcess, before: GoProcess | None, elapsed: float = 2.0) -> GoRow:
    """The row of one process."""
    past = None if before is None else holding(before)
    found = own_rows(holding(now), past, elapsed, Bound(512 * MIB))
    assert found is not None
    return found[0]


def test_deltas_count_from_the_sample_before() -> None:
    """Allocated bytes and cycles; the collector's share is of what GOMAXPROCS allows."""
    later = HEAP._replace(allocated_bytes=1003 * MIB, gc_cycles=12)
    before = process(heap=HEAP._replace(gc_cycles=7), gc=GoCycles(3, cpu_seconds=1.0))
    row = rows(process(heap=later, gc=GoCycles(8, cpu_seconds=1.4)), before)
    assert (row.allocated_delta_bytes, row.gc_cycles_delta) == (3 * MIB, 5)
    assert row.gc_cpu_fraction == pytest.approx(0.4 / (2.0 * 4))


def test_without_a_sample_before_there_are_no_deltas() -> None:
    """A new process, or the first sample."""
    row = rows(process(gc=GoCycles(3)), None)
    assert (row.allocated_delta_bytes, row.gc_cycles_delta, row.gc_cpu_fraction) == (None,) * 3


def test_another_process_with_the_same_pid_is_another_one() -> None:
    """Its start differs."""
    other = GoProcess(10, 2, "app", "observed", heap=HEAP)
    assert rows(process(), other).allocated_delta_bytes is None


def test_the_largest_heaps_are_shown_and_the_rest_adds_up() -> None:
    """Of 30 processes in two cgroups the 20 largest; the others' bytes are in the remainder."""

    def some(*sizes: int) -> tuple[GoRow, ...]:
        each = [process(n, HEAP._replace(heap_in_use_bytes=n * MIB)) for n in sizes]
        found = own_rows(holding(*each), None, None, Bound())
        assert found is not None
        return found

    below = joined(some(*range(1, 31)), [])
    above = joined(some(100), [below, None])
    assert above is not None
    assert [row.process.pid for row in above.rows] == [100, *range(30, 11, -1)]
    assert above.other_bytes == sum(range(1, 12)) * MIB


def test_where_nobody_looked_nothing_is_known() -> None:
    """Not an empty list: that is no Go process."""
    assert own_rows(cgroup(7, None, "/app"), None, None, Bound()) is None
    assert joined(None, []) is None
    assert joined((), [None]) is not None


def test_a_goal_beyond_the_limit_is_told() -> None:
    """Without GOMEMLIMIT; with one below the limit there is nothing to say."""
    (text,) = remarks(process(), Beside(128 * MIB))
    assert "goal of 160 MiB, beyond the memory limit of 128 MiB" in text
    held = process(heap=HEAP._replace(gomemlimit_bytes=110 * MIB))
    assert remarks(held, Beside(128 * MIB)) == ()


def test_a_memory_limit_that_leaves_nothing_is_told() -> None:
    """GOMEMLIMIT as large as the container's limit."""
    (text,) = remarks(process(heap=HEAP._replace(gomemlimit_bytes=128 * MIB)), Beside(128 * MIB))
    assert "GOMEMLIMIT 128 MiB is not below the memory limit" in text


@pytest.mark.parametrize(("quota", "expected"), [(0.5, 2), (1.0, 2), (2.0, 2), (2.1, 3), (8.0, 8)])
def test_procs_under_a_quota(quota: float, expected: int) -> None:
    """Rounded up, and two at least."""
    assert expected_procs(quota) == expected
    wide = process(heap=HEAP._replace(gomaxprocs=expected), cpu_quota=quota)
    assert remarks(wide, Beside()) == ()


def test_more_procs_than_the_quota_gives_are_told_with_the_reason() -> None:
    """Old toolchains do not look at it; new ones do unless built not to."""
    wide = HEAP._replace(gomaxprocs=32)
    old = GoProcess(1, 1, "app", "observed", version="go1.21.13", cpu_quota=2.0, heap=wide)
    assert "GOMAXPROCS is 32 under a quota of 2 CPUs" in remarks(old, Beside())[0]
    assert "32 times instead of 2" in remarks(old, Beside())[0]
    assert "go1.21.13 does not look at the CPU quota" in remarks(old, Beside())[1]
    switched = process(heap=wide, cpu_quota=2.0, debug="containermaxprocs=0,x=1")
    assert "containermaxprocs=0" in remarks(switched, Beside())[1]
    assert len(remarks(process(heap=wide, cpu_quota=2.0), Beside())) == 1


@pytest.mark.parametrize(
    ("gogc", "told"), [(10, "GOGC is 10"), (-1, "never collected"), (100, ""), (26, "")]
)
def test_gogc(gogc: int, told: str) -> None:
    """Low, or off without a memory limit."""
    found = remarks(process(heap=HEAP._replace(gogc=gogc)), Beside())
    assert (told in found[0]) if told else found == ()


def test_what_cannot_be_read_says_why() -> None:
    """The reason is the remark."""
    hidden = GoProcess(1, 1, "app", "packed", "packed with UPX: not observed")
    assert remarks(hidden, Beside()) == ("packed with UPX: not observed",)


def test_what_go_does_not_manage_counts_against_the_limit() -> None:
    """Other anonymous memory, the kernel's, shared memory; and files in use for the advice."""
    memory = Memory(
        anon_bytes=130 * MIB,
        kernel_bytes=7 * MIB,
        shmem_bytes=3 * MIB,
        active_file_bytes=20 * MIB,
    )
    around = beside(256 * MIB, memory, process(), 100 * MIB)
    assert around.other_bytes == (130 - 100 + 7 + 3) * MIB
    assert around.advised_bytes == (256 - 40 - 20) * MIB
    tight = process(heap=HEAP._replace(gomemlimit_bytes=220 * MIB))
    (text,) = remarks(tight, around)
    assert "GOMEMLIMIT 220 MiB and 40 MiB outside of its runtime are more" in text
    assert "196 MiB would leave room" in text
    assert remarks(process(heap=HEAP._replace(gomemlimit_bytes=200 * MIB)), around) == ()


def test_never_more_than_nine_tenths_are_advised() -> None:
    """Even where nothing else is there."""
    nothing = Memory(anon_bytes=0, kernel_bytes=0, shmem_bytes=0, active_file_bytes=0)
    assert beside(100 * MIB, nothing, process(), 100 * MIB).advised_bytes == 90 * MIB


@pytest.mark.parametrize("part", ["anon", "kernel", "shmem", "active_file"])
def test_what_is_unknown_leaves_no_advice(part: str) -> None:
    """Any part of it, all of it, or the limit."""
    known = Memory(anon_bytes=0, kernel_bytes=0, shmem_bytes=0, active_file_bytes=0)
    unknown = replace(known, **{f"{part}_bytes": None})
    assert beside(100 * MIB, unknown, process(), 100 * MIB).advised_bytes is None
    assert beside(100 * MIB, None, process(), 100 * MIB).advised_bytes is None
    assert beside(None, known, process(), 100 * MIB).advised_bytes is None
    assert beside(100 * MIB, known, process(heap=None), 100 * MIB).advised_bytes is None


def test_other_go_processes_count_against_the_limit_too() -> None:
    """Two in one cgroup share what is left beside all else, by what they map."""
    small, large = (HEAP._replace(mapped_bytes=each * MIB) for each in (60, 80))
    memory = Memory(
        limit_bytes=200 * MIB,
        anon_bytes=140 * MIB,
        kernel_bytes=2 * MIB,
        shmem_bytes=0,
        active_file_bytes=0,
    )
    both = process(1, small), process(2, large)
    home = replace(cgroup(7, None, "/app", memory=memory), go=both)
    (container,) = Modeler().snapshot(sample(home)).containers
    assert container.go is not None
    advised = {row.process.pid: row.beside.advised_bytes for row in container.go.rows}
    assert advised == {1: 180 * MIB * 60 // 140, 2: 180 * MIB * 80 // 140}


def test_under_an_ancestors_limit_all_below_it_counts() -> None:
    """What is in siblings of the process' cgroup has to fit below the same limit."""
    parts = Memory(anon_bytes=0, kernel_bytes=0, shmem_bytes=0, active_file_bytes=0)
    pod = replace(parts, limit_bytes=500 * MIB, anon_bytes=350 * MIB, active_file_bytes=7 * MIB)
    app = replace(parts, anon_bytes=100 * MIB)
    modeler = Modeler()
    for grown in (0, 30):
        above = replace(pod, anon_bytes=(350 + grown) * MIB)
        snapshot = modeler.snapshot(
            sample(
                cgroup(1, None, "/pod", memory=above),
                replace(cgroup(2, 1, "/pod/app", memory=app), go=(process(),)),
                cgroup(3, 1, "/pod/side", memory=replace(parts, anon_bytes=250 * MIB)),
            )
        )
        for each in snapshot.containers[:2]:
            assert each.go is not None
            (row,) = each.go.rows
            assert row.beside[:3] == (500 * MIB, (250 + grown) * MIB, 7 * MIB)


def test_of_a_heap_the_largest_functions_are_shown() -> None:
    """Twenty; what the others hold is in the sum."""
    held = tuple(HeapFunction(f"main.f{size}", (), size, 1) for size in range(30, 0, -1))
    row = with_heap(rows(process(), None), GoHeapFunctions(held, 7))
    assert row.heap_functions is not None
    assert row.heap_functions.rows == held[:20]
    assert row.heap_functions.other_bytes == 7 + sum(range(1, 11))


def test_a_heap_without_functions_keeps_its_reason() -> None:
    """And one nobody asked for is none."""
    unknown = GoHeapFunctions(reason="it ended")
    assert with_heap(rows(process(), None), unknown).heap_functions == unknown
    assert with_heap(rows(process(), None), None).heap_functions is None
