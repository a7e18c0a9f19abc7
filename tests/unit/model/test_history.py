"""The course of usage: bounded, per cgroup, forgotten with it."""

from __future__ import annotations

from memtrace.model.history import LENGTH, History
from memtrace.model.snapshot import snapshot
from memtrace.samples import CgroupSample, Ledger, Memory
from tests.unit.model.builders import cgroup, sample


def using(number: int, usage: int | None, ledger: Ledger | None = None) -> CgroupSample:
    return cgroup(number, memory=Memory(usage_bytes=usage), ledger=ledger)


def test_growth_since_the_start_counts_from_the_first_snapshot() -> None:
    """A cgroup that was there first starts from what it had, however it came to it."""
    history = History()
    history.add(snapshot(sample(using(1, 100)), None, None))
    trend = history.add(snapshot(sample(using(1, 130)), None, None))[1]
    assert (trend.usage, trend.end, trend.since_start_bytes) == ((100, 130), 2, 30)


def test_what_is_born_later_starts_from_nothing() -> None:
    """All it has is growth; one that memtrace merely learnt of late is not new."""
    history = History()
    history.add(snapshot(sample(), None, None))
    older = Ledger(baseline_bytes=5)
    trends = history.add(snapshot(sample(using(1, 40), using(2, 40, older)), None, None))
    assert (trends[1].since_start_bytes, trends[2].since_start_bytes) == (40, 0)


def test_unknown_usage_is_unknown_growth() -> None:
    """Not zero."""
    history = History()
    history.add(snapshot(sample(using(1, 100)), None, None))
    trend = history.add(snapshot(sample(using(1, None)), None, None))[1]
    assert (trend.usage, trend.since_start_bytes) == ((100, None), None)


def test_history_is_bounded_and_ends_with_its_cgroup() -> None:
    """LENGTH samples of each that is listed; trends handed out before do not change."""
    history = History()
    early = history.add(snapshot(sample(using(1, 0)), None, None))
    for step in range(1, LENGTH + 10):
        trends = history.add(snapshot(sample(using(1, step)), None, None))
    assert len(trends[1].usage) == LENGTH
    assert trends[1].usage[-1] == trends[1].since_start_bytes == LENGTH + 9
    assert early[1].usage == (0,)
    assert history.add(snapshot(sample(), None, None)) == {}
