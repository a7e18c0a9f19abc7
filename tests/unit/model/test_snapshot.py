"""What the model makes of two samples, from samples made by hand."""

from __future__ import annotations

from memtrace.model.shapes import Container, Snapshot
from memtrace.model.snapshot import snapshot
from memtrace.samples import KINDS, Ledger, Memory, ProcessRow
from tests.unit.model.builders import (
    MIB,
    added,
    cgroup,
    driver,
    file,
    process,
    removed,
    sample,
)


def of(snap: Snapshot, number: int) -> Container:
    return next(c for c in snap.containers if c.source.cgroup_id == number)


def one(ledger: Ledger, memory: Memory | None = None) -> Container:
    return of(snapshot(sample(cgroup(1, memory=memory, ledger=ledger)), None, None), 1)


def test_attributed_is_baseline_plus_added_minus_removed() -> None:
    """attributed = baseline + added - removed; the remainder to file_bytes is signed."""
    ledger = Ledger(added=added(read=30), removed=removed(reclaim=5), baseline_bytes=100)
    container = one(ledger, Memory(file_bytes=120))
    assert container.page_cache.attributed_bytes == 125
    assert container.page_cache.unattributed_bytes == -5


def test_unknown_baseline_leaves_only_flows() -> None:
    """Without a baseline attributed and unattributed are unknown, added and removed are not."""
    cache = one(Ledger(added=added(read=30), baseline_bytes=None), Memory(file_bytes=9)).page_cache
    assert (cache.baseline_bytes, cache.attributed_bytes, cache.unattributed_bytes) == (None,) * 3
    assert (cache.added_bytes, cache.removed_bytes) == (30, 0)


def test_parent_holds_children_removed_and_departed() -> None:
    """A parent's ledger is its own, its children's (removed ones too) and released ones'."""
    root = Ledger(
        added=added(read=1),
        departed_added=added(write=100),
        departed_removed=removed(unlink=10),
        departed_baseline_bytes=7,
        baseline_bytes=1000,
    )
    snap = snapshot(
        sample(
            cgroup(1, path="/", ledger=root),
            cgroup(2, 1, ledger=Ledger(added=added(read=20), baseline_bytes=0)),
            cgroup(3, 2, ledger=Ledger(added=added(mmap=3), baseline_bytes=5), state="removed"),
        ),
        None,
        None,
    )
    cache = of(snap, 1).page_cache
    assert (cache.added_bytes, cache.removed_bytes, cache.baseline_bytes) == (124, 10, 1012)
    assert cache.attributed_bytes == 1126
    kinds = dict(zip(KINDS, of(snap, 1).added, strict=True))
    assert (kinds["read"], kinds["write"], kinds["mmap"]) == (21, 100, 3)
    assert of(snap, 2).page_cache.added_bytes == 23


def test_one_unknown_part_makes_the_parent_unknown() -> None:
    """A baseline that lacks a child's or a released child's part is not given."""
    child = cgroup(2, 1, ledger=Ledger(baseline_bytes=None))
    snap = snapshot(sample(cgroup(1), child), None, None)
    assert of(snap, 1).page_cache.baseline_bytes is None
    departed = Ledger(baseline_bytes=0, departed_baseline_bytes=None)
    assert one(departed).page_cache.baseline_bytes is None


def test_first_snapshot_has_no_deltas() -> None:
    """The first line knows no interval, so no delta."""
    snap = snapshot(sample(cgroup(1, memory=Memory(usage_bytes=1))), None, None)
    assert snap.interval_seconds is None
    assert set(of(snap, 1).page_cache[9:]) == {None}
    assert set(of(snap, 1).added_deltas) == {None}
    assert of(snap, 1).usage_delta_bytes is None


def test_deltas_are_the_change_since_the_previous_sample() -> None:
    """Gauges may fall; counters give their growth."""
    before = cgroup(
        1,
        memory=Memory(usage_bytes=50, file_bytes=40, dirty_bytes=9, refaulted_bytes=1),
        ledger=Ledger(added=added(read=10), baseline_bytes=30, drivers=(driver(10),)),
    )
    now = cgroup(
        1,
        memory=Memory(usage_bytes=45, file_bytes=48, dirty_bytes=2, refaulted_bytes=4),
        ledger=Ledger(
            added=added(read=22),
            removed=removed(drop=3),
            baseline_bytes=30,
            drivers=(driver(22, recent=12),),
        ),
    )
    snap = snapshot(sample(now), sample(before), 2.0)
    container, cache = of(snap, 1), of(snap, 1).page_cache
    assert snap.interval_seconds == 2.0
    assert (cache.added_delta_bytes, cache.removed_delta_bytes) == (12, 3)
    assert (cache.attributed_delta_bytes, cache.unattributed_delta_bytes) == (9, -1)
    assert (cache.dirty_delta_bytes, cache.refaulted_delta_bytes) == (-7, 3)
    assert (container.usage_delta_bytes, container.file_delta_bytes) == (-5, 8)
    assert container.rows.drivers[0].added_delta_bytes == 12


def test_counter_that_went_backwards_gives_no_reading() -> None:
    """A fall of a counter is not a negative delta."""
    before = cgroup(
        1,
        memory=Memory(refaulted_bytes=5),
        ledger=Ledger(added=added(read=10), baseline_bytes=0, drivers=(driver(10),)),
    )
    now = cgroup(
        1,
        memory=Memory(refaulted_bytes=4),
        ledger=Ledger(added=added(read=9), baseline_bytes=0, drivers=(driver(9),)),
    )
    container = of(snapshot(sample(now), sample(before), 1.0), 1)
    assert container.page_cache.added_delta_bytes is None
    assert container.page_cache.refaulted_delta_bytes is None
    assert container.added_deltas[0] is None


def test_newborn_cgroup_has_grown_by_all_it_has() -> None:
    """Born after attach and seen first now: its delta is its cumulative figure."""
    ledger = Ledger(added=added(write=8), baseline_bytes=0, drivers=(driver(8, recent=8),))
    new = cgroup(2, 1, memory=Memory(usage_bytes=9), ledger=ledger)
    snap = snapshot(sample(cgroup(1), new), sample(cgroup(1)), 1.0)
    assert of(snap, 2).page_cache.added_delta_bytes == 8
    assert of(snap, 2).usage_delta_bytes == 9
    assert of(snap, 2).rows.drivers[0].added_delta_bytes == 8
    assert of(snap, 1).page_cache.added_delta_bytes == 8


def test_older_cgroup_seen_first_has_no_deltas() -> None:
    """Born before attach and seen first now: nobody knows when it grew."""
    ledger = Ledger(added=added(write=8), baseline_bytes=None, drivers=(driver(8),))
    snap = snapshot(sample(cgroup(2, ledger=ledger)), sample(cgroup(1)), 1.0)
    assert of(snap, 2).page_cache.added_delta_bytes is None


def test_release_of_a_child_does_not_move_the_parent() -> None:
    """What a released child had is in the parent's departed figures, so no delta appears."""
    child = cgroup(2, 1, ledger=Ledger(added=added(read=50), baseline_bytes=4), state="removed")
    after = Ledger(baseline_bytes=0, departed_added=added(read=50), departed_baseline_bytes=4)
    snap = snapshot(sample(cgroup(1, ledger=after)), sample(cgroup(1), child), 1.0)
    cache = of(snap, 1).page_cache
    assert (cache.added_delta_bytes, cache.attributed_bytes) == (0, 54)
    assert cache.baseline_delta_bytes == 0


def test_driver_new_in_a_cut_list_has_its_own_delta() -> None:
    """A row that was not among the largest before still tells what it added since."""
    before = Ledger(added=added(write=100), baseline_bytes=0, drivers=(driver(90, inode=1),))
    now = Ledger(
        added=added(write=300),
        baseline_bytes=0,
        drivers=(driver(150, inode=2, recent=140), driver(90, inode=1)),
    )
    snap = snapshot(sample(cgroup(1, ledger=now)), sample(cgroup(1, ledger=before)), 1.0)
    deltas = {d.row.path: d.added_delta_bytes for d in of(snap, 1).rows.drivers}
    assert deltas == {"/f2": 140, "/f1": 0}


def test_same_row_of_two_children_is_one_row_of_the_parent() -> None:
    """Rows merge by file, process and kind; processes by id and start."""
    ledger = Ledger(
        added=added(write=10),
        baseline_bytes=0,
        drivers=(driver(10),),
        files=(file(10, 2),),
        processes=(process(10),),
    )
    other = Ledger(
        added=added(write=7),
        baseline_bytes=0,
        drivers=(driver(5), driver(2, tgid=11)),
        files=(file(7),),
        processes=(process(5), process(2, start=2)),
    )
    snap = snapshot(
        sample(cgroup(1), cgroup(2, 1, ledger=ledger), cgroup(3, 1, ledger=other)), None, None
    )
    rows = of(snap, 1).rows
    assert [d.added_bytes for d in rows.drivers] == [15, 2]
    assert [(f.added_bytes, f.removed_bytes, f.resident_bytes) for f in rows.files] == [(17, 2, 15)]
    assert [p.added_bytes for p in rows.processes] == [15, 2]


def test_a_process_in_two_cgroups_has_its_newest_facts() -> None:
    """Its row in the cgroup it left is not looked at any more."""
    old = ProcessRow(10, 1, "pg", 8, 100, 1, None, 0.25)
    new = ProcessRow(10, 1, "pg", 2, 300, 4, 9, None)
    left, right = (
        cgroup(number, 1, ledger=Ledger(added=added(write=8), processes=(row,)))
        for number, row in ((2, old), (3, new))
    )
    (process,) = of(snapshot(sample(cgroup(1), left, right), None, None), 1).rows.processes
    assert process == (ProcessRow(10, 1, "pg", 8, 300, 4, 9, 0.25), 10)


def test_a_shared_file_is_charged_to_who_pays_most() -> None:
    """In the rows of all above; its name is the one that container uses."""
    small, large = file(10), file(17)._replace(container_path="/data/f1")
    rows = [Ledger(baseline_bytes=0, files=(each,)) for each in (small, large)]
    snap = snapshot(
        sample(cgroup(1), *(cgroup(n, 1, ledger=ledger) for n, ledger in enumerate(rows, 2))),
        None,
        None,
    )
    (shared,) = of(snap, 1).rows.files
    assert (shared.charged_to, shared.row.container_path) == ("/3", "/data/f1")
    assert [of(snap, n).rows.files[0].charged_to for n in (2, 3)] == ["/2", "/3"]


def test_lists_end_at_twenty_and_the_rest_is_other() -> None:
    """Shown and other add up to the exact totals."""
    count = 130
    amounts = range(1, count + 1)
    ledger = Ledger(
        added=added(write=sum(amounts) + 5),
        baseline_bytes=0,
        drivers=tuple(driver(n, inode=n) for n in amounts),
        files=tuple(file(n, inode=n) for n in amounts),
        processes=tuple(process(n, tgid=n) for n in amounts),
    )
    rows = one(ledger).rows
    top = sum(range(count - 19, count + 1))
    assert [d.added_bytes for d in rows.drivers] == list(range(count, count - 20, -1))
    assert rows.drivers_other_bytes == rows.files_other_bytes == sum(amounts) + 5 - top
    assert rows.processes_other_bytes == sum(amounts) + 5 - top


def test_unnamed_shared_memory_pays_for_named_shared_memory() -> None:
    """Faults do not tell the shmem file, removals do: the deficit moves, nothing is negative."""
    ledger = Ledger(
        added=added(shmem=100),
        removed=removed(unlink=30),
        baseline_bytes=0,
        files=(file(100, inode=None, shmem=True), file(0, 30, inode=5, shmem=True)),
    )
    rows = one(ledger).rows
    assert {f.row.path: f.resident_bytes for f in rows.files} == {None: 70, "/f5": 0}
    assert rows.files_other_bytes == 0


def test_negative_file_is_unknown() -> None:
    """A file that lost more than it got missed an addition; its amount is not known."""
    rows = one(Ledger(added=added(read=1), baseline_bytes=0, files=(file(1, 5),))).rows
    assert rows.files[0].resident_bytes is None


def test_sum_of_leaves_counts_nothing_twice() -> None:
    """A removed cgroup is a leaf of its own only where no living leaf includes it."""
    snap = snapshot(
        sample(
            cgroup(1, path="/"),
            cgroup(2, 1),
            cgroup(3, 2, state="removed"),
            cgroup(4, 1, state="removed"),
        ),
        None,
        None,
    )
    assert [c.source.cgroup_id for c in snap.containers if c.leaf] == [2, 4]


def test_cause_is_what_grew_most_of_late() -> None:
    """The largest delta wins over the largest total, also from beyond the top rows."""
    old = tuple(driver(1000 + n, inode=n) for n in range(30))
    before = Ledger(added=added(write=sum(d.added_bytes for d in old)), drivers=old)
    now = Ledger(
        added=added(write=before.added[1] + 5),
        drivers=(*old, driver(5, inode=99, comm="dd", recent=5)),
    )
    snap = snapshot(sample(cgroup(1, ledger=now)), sample(cgroup(1, ledger=before)), 1.0)
    cause = of(snap, 1).rows.cause
    assert cause is not None
    assert (cause.row.comm, cause.added_delta_bytes) == ("dd", 5)


def test_parent_missing_from_the_sample_makes_a_top_cgroup() -> None:
    """A cgroup whose parent vanished is still reported."""
    snap = snapshot(sample(cgroup(5, 77)), None, None)
    assert [c.source.cgroup_id for c in snap.containers] == [5]


def test_removed_cgroup_has_no_memory_figures() -> None:
    """All memory figures of a removed cgroup are unknown, its ledger is not."""
    ledger = Ledger(added=added(read=MIB), baseline_bytes=0)
    container = of(
        snapshot(
            sample(cgroup(1, memory=Memory(limit_bytes=5)), cgroup(2, 1, ledger=ledger)), None, None
        ),
        2,
    )
    assert set(container.memory) == {None}
    assert container.page_cache.attributed_bytes == MIB
