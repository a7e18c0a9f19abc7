"""When a census is taken: on request, and while it is watched as often as its cost allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from memtrace.collect.live import Live
from memtrace.samples import Sample
from tests.unit.model.builders import sample


class FakeCollector:
    """Counts the censuses it is told to take."""

    def __init__(self) -> None:
        self.censuses = 0
        self.age: float | None = None
        self.cost = 0.2
        self.watched: frozenset[str] = frozenset()
        self.allocations = False

    def take_census(self, progress: object) -> None:
        self.censuses += 1
        self.age = 0.0

    def census_age(self) -> tuple[float | None, float]:
        return self.age, self.cost

    def watch(self, names: frozenset[str], cgroups: object) -> None:
        self.watched = names

    def watch_allocations(self, wanted: bool) -> None:
        self.allocations = wanted

    def sample(self) -> Sample:
        return sample()

    def close(self) -> None: ...


@pytest.fixture
def collector() -> FakeCollector:
    """One of them."""
    return FakeCollector()


@pytest.fixture
def live(collector: Any) -> Iterator[Live]:
    """A live collection of it; what it closes at the end is the collector, too."""
    with Live(collector, collector, collector, baseline=False) as made:
        yield made


def test_unasked_none_is_taken(live: Live, collector: FakeCollector) -> None:
    """Off by default."""
    live.sample()
    assert collector.censuses == 0


def test_a_requested_one_is_taken_once(live: Live, collector: FakeCollector) -> None:
    """Before the next sample."""
    live.request_census()
    live.sample()
    live.sample()
    assert collector.censuses == 1


def test_watched_it_is_taken_at_once_and_every_30_seconds(
    live: Live, collector: FakeCollector
) -> None:
    """`slab` is no program to attach; without it nothing is counted any more."""
    live.watch(frozenset({"slab", "dirtiers"}), None)
    assert collector.watched == {"dirtiers"}
    live.sample()
    for age, taken in ((29.9, 1), (30.0, 2)):
        collector.age = age
        live.sample()
        assert collector.censuses == taken
    live.watch(frozenset(), None)
    collector.age = 1000.0
    live.sample()
    assert collector.censuses == 2


def test_a_census_of_much_memory_is_taken_less_often(live: Live, collector: FakeCollector) -> None:
    """At most 2 % of one CPU: what takes 6 s is taken every 5 minutes."""
    live.watch(frozenset({"slab"}), None)
    live.sample()
    collector.cost = 6.0
    for age, taken in ((299.0, 1), (300.0, 2)):
        collector.age = age
        live.sample()
        assert collector.censuses == taken
