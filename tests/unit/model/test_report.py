"""What a report has of a recording: peaks, growth by cause, events, gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from memtrace.model.modeler import Modeler
from memtrace.model.report.detail import Close
from memtrace.model.report.kills import events, history
from memtrace.model.report.overview import MOST_EVENTS, Overview, chosen
from memtrace.model.report.parts import of_memory, of_record
from memtrace.model.report.points import POINTS, Columns, gaps_of
from memtrace.model.report.shapes import Gap
from memtrace.model.shapes import Snapshot
from memtrace.samples import GoHeap, GoProcess, Identity, Ledger, Memory, Sample
from tests.unit.model.builders import MIB, added, cgroup, driver, sample

CONTAINER = Identity("container", "web", container="web")


def snapshots(samples: Sequence[Sample]) -> list[Snapshot]:
    """As they follow from each other."""
    modeler = Modeler()
    return [modeler.snapshot(each) for each in samples]


def memory(usage: int, limit: int | None = None) -> Memory:
    """A program of its own memory only, in MiB."""
    return Memory(
        limit_bytes=limit,
        usage_bytes=usage * MIB,
        anon_bytes=usage * MIB,
        file_bytes=0,
        shmem_bytes=0,
    )


def at(step: int, *usages: int | None, recent: int = 0) -> Sample:
    """A moment with one cgroup for each usage; None: it is not there."""
    ledger = Ledger(
        added=added(write=step * recent),
        baseline_bytes=0,
        drivers=(driver(step * recent, tgid=10 + step, recent=recent),),
    )
    made = [
        cgroup(n, 1, f"/{n}", memory=memory(usage), identity=CONTAINER, ledger=ledger)
        for n, usage in enumerate(usages, start=2)
        if usage is not None
    ]
    return replace(sample(cgroup(1, None, "/"), *made), monotonic=100.0 + step, time=1e9 + step)


def overview(samples: Sequence[Sample]) -> Overview:
    """Of all of them."""
    made = Overview(len(samples))
    for number, snapshot in enumerate(snapshots(samples)):
        made.add(snapshot, float(number), False)
    return made


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=2000))
def test_the_highest_sample_is_always_a_point(heights: list[int]) -> None:
    """However many there are, there are at most 300 points, in order, the peak among them."""
    columns = Columns[int](len(heights), int)
    for number, height in enumerate(heights):
        columns.add(number, height)
    kept = columns.kept()
    assert len(kept) == min(len(heights), POINTS)
    assert max(height for _, height in kept) == max(heights)
    assert [number for number, _ in kept] == sorted(number for number, _ in kept)


def test_a_line_is_parted_where_nothing_is_known() -> None:
    """At a gap, and where the cgroup was not there."""
    columns = Columns[float](6, int)
    for number in (0, 1, 2, 4, 5):
        columns.add(number, float(number))
    gap = Gap(0.0, 1.0, "")
    assert columns.runs(float, [gap]) == [[0.0], [1.0, 2.0], [4.0, 5.0]]


def test_gaps_are_new_runs_and_long_steps() -> None:
    """Compared with what is usual in this recording."""
    positions = [0.0, 2.0, 4.0, 6.0, 30.0, 32.0, 33.0]
    found = gaps_of(positions, [1, 1, 1, 1, 1, 1, 2])
    assert [(gap.begin, gap.end) for gap in found] == [(6.0, 30.0), (32.0, 33.0)]
    assert gaps_of([], []) == gaps_of([1.0], [1]) == ()


def test_parts_add_up_to_the_usage() -> None:
    """Shared memory and unwritten data are part of the file cache, slab of the kernel's memory."""
    told = Memory(
        usage_bytes=100,
        anon_bytes=30,
        file_bytes=50,
        shmem_bytes=10,
        dirty_bytes=4,
        writeback_bytes=1,
        kernel_bytes=12,
        slab_bytes=9,
        sock_bytes=3,
    )
    parts = of_memory(told, "v2", False)
    assert parts == (30, 10, 3, 9, 3, 5, 5, 35)
    assert sum(part or 0 for part in parts) == 100
    assert of_record({"usage_bytes": 100, "anon_bytes": "x"}).rest == 100


def test_rows_that_rose_most_come_first() -> None:
    """A container that fell again counts by its peak, and has its change at the end."""
    made = overview([at(0, 10, 50), at(1, 40, 60), at(2, 12, 70)])
    lines = made.lines()
    assert [line.container.source.path for line in lines] == ["/2", "/3"]
    assert (lines[0].first, lines[0].peak, lines[0].last) == (10 * MIB, 40 * MIB, 12 * MIB)
    assert [c.source.path for c in chosen(lines, ())] == ["/2", "/3"]
    assert [c.source.path for c in chosen(lines, {3})] == ["/3", "/2"]


def test_what_came_and_went_is_told() -> None:
    """A container that began and one that was removed, each at the sample that shows it."""
    made = overview([at(0, 10), at(1, 10, 5), at(2, None, 5)])
    told = [(event.seconds, event.kind, event.cgroup_id) for event in made.events()]
    assert told == [(1.0, "began", 3), (2.0, "removed", 2)]
    gone = next(line for line in made.lines() if line.container.source.path == "/2")
    assert (gone.last, gone.last_seconds, gone.usage[-1]) == (10 * MIB, 1.0, None)


def test_events_are_bounded() -> None:
    """What is left out is counted."""
    samples = [at(n, *([None] * (n - 1)), 1) if n else at(0) for n in range(MOST_EVENTS)]
    made = overview(samples)
    assert len(made.events()) == MOST_EVENTS
    assert made.left_out
    assert any("more events" in remark for remark in made.remarks())


def test_a_changed_limit_is_an_event() -> None:
    """With both limits."""
    samples = [
        replace(
            sample(cgroup(2, None, "/a", memory=memory(10, limit), identity=CONTAINER)),
            monotonic=number + 1.0,
        )
        for number, limit in enumerate([64 * MIB, 128 * MIB])
    ]
    told = [event.text for event in overview(samples).events()]
    assert told == ["memory limit changed from 64 MiB to 128 MiB"]


def close(samples: Sequence[Sample]) -> Close:
    """The cgroup /2 of all samples."""
    every = snapshots(samples)
    found = next(c for c in every[0].containers if c.source.path == "/2")
    made = Close(found, len(samples))
    for number, snapshot in enumerate(every):
        made.add(snapshot, number, float(number))
    return made


def test_growth_is_the_sum_of_what_the_samples_tell() -> None:
    """From the second one on: the first tells of the time before. Like is added to like."""
    detail = close([at(step, 10, recent=3 * MIB) for step in range(5)]).detail((), ())
    (row,) = detail.grown
    assert (row.added, row.times) == (12 * MIB, 4)
    assert detail.grown_other == 0
    assert detail.kinds == (("write", 12 * MIB),)
    assert [(doer.comm, doer.added, doer.times) for doer in detail.doers] == [("pg", 12 * MIB, 4)]


def test_collections_between_two_points_are_counted() -> None:
    """Also when the samples between them are not in the picture."""
    count = 1000
    samples = []
    for step in range(count):
        heap = GoHeap(100, None, 4, step, step, 0, 0, 2 * step, 0, 0, gc_cycles=3 * step)
        process = GoProcess(7, 1, "app", "go", heap=heap)
        one = replace(cgroup(2, None, "/2", memory=memory(1)), go=(process,))
        samples.append(replace(sample(one), monotonic=step + 1.0))
    (program,) = close(samples).detail((), ()).go
    (run,) = program.runs
    assert len(run) <= POINTS
    assert sum(point.cycles or 0 for point in run) == 3 * (run[-1].live - run[0].live)
    assert run[0].cycles is None


def test_only_kills_of_that_node_and_time_are_drawn_in() -> None:
    """Whatever a record has instead of a time or a node."""
    good = {"time": 105.0, "node": "n", "id": "x", "kill": "memcg", "oom_cgroup": {"cgroup_id": 7}}
    odd = [
        {},
        {"time": "now"},
        {**good, "node": "m"},
        {**good, "time": 99},
        {**good, "time": 1e999},
    ]
    (event,) = events([*odd, good], "n", 100.0, 10.0)
    assert (event.seconds, event.kind, event.cgroup_id) == (5.0, "oom", 7)


def test_the_time_before_a_kill_counts_down() -> None:
    """Odd rows are left out."""
    rows = [
        {"seconds_before": 2, "usage_bytes": 5},
        {"seconds_before": "x"},
        7,
        {"seconds_before": 4},
    ]
    points = history({"history": rows, "oom_cgroup": {"limit": 9}})
    assert [(point.seconds, point.usage, point.limit) for point in points] == [
        (-4, None, 9),
        (-2, 5, 9),
    ]
