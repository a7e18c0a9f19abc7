"""Additions of the interval: like with like, biggest first."""

from __future__ import annotations

from memtrace.model.latest import additions
from memtrace.model.snapshot import snapshot
from memtrace.samples import Ledger
from tests.unit.model.builders import added, cgroup, driver, sample


def test_processes_of_one_name_doing_one_thing_are_one_addition() -> None:
    """Five runs of dd on one file are one line; another file is another one."""
    runs = tuple(driver(10, tgid=n, comm="dd", recent=2) for n in range(5))
    other = driver(7, inode=9, tgid=50, comm="dd", recent=7)
    idle = driver(99, inode=3, tgid=60)
    ledger = Ledger(added=added(write=156), baseline_bytes=0, drivers=(*runs, other, idle))
    now = sample(cgroup(1, ledger=ledger))
    found = additions(snapshot(now, now, 1.0).containers)
    assert [(a.added_bytes, a.times) for a in found] == [(10, 5), (7, 1)]


def test_first_sample_has_no_additions() -> None:
    """What came before the first sample is not the latest of anything."""
    ledger = Ledger(added=added(write=10), baseline_bytes=0, drivers=(driver(10, recent=10),))
    assert additions(snapshot(sample(cgroup(1, ledger=ledger)), None, None).containers) == []
