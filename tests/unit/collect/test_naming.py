"""When names are asked for again: once quiet, all now and then, and never without rest."""

from __future__ import annotations

import pytest

from memtrace.collect import naming
from memtrace.collect.naming import MAX_WAITING, NameCheck
from tests.unit.collect import records

X, Y = records.file(1), records.file(2)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that a NameCheck sees."""
    made = Clock()
    monkeypatch.setattr(naming, "time", made)
    return made


def test_a_file_without_a_name_is_asked_for_at_once(clock: Clock) -> None:
    """And once."""
    names = NameCheck()
    names.unnamed([X])
    assert names.due(9) == [X]
    assert names.due(9) == []


def test_a_file_just_written_is_asked_for_when_it_is_quiet(clock: Clock) -> None:
    """Two samples, 2 seconds apart, after its last event: by then it has been renamed."""
    names = NameCheck()
    names.changed([X])
    clock.now += 1
    names.changed([X])
    clock.now += 1.4
    assert names.due(9) == []
    clock.now += 0.1
    assert names.due(9) == [X]


def test_a_walk_is_followed_by_rest(clock: Clock) -> None:
    """3 seconds at least; nothing waiting is forgotten, and other means have no rest."""
    names = NameCheck()
    names.rest(0.001)
    names.leave([X])
    names.unnamed([Y])
    clock.now += 2.9
    assert names.due_for_walk() == []
    assert names.due(9) == [Y]
    clock.now += 0.1
    assert names.due_for_walk() == [X]
    assert names.due_for_walk() == []


def test_an_event_takes_a_file_out_of_the_next_walk(clock: Clock) -> None:
    """It may be about to be renamed: the walk would tell the name it has until then."""
    names = NameCheck()
    names.leave([X, Y])
    names.changed([X])
    assert names.due_for_walk() == [Y]


def test_walks_may_cost_a_share_of_a_cpu_in_the_long_run(clock: Clock) -> None:
    """60 ms at once; what goes beyond is waited for, a second a millisecond."""
    names = NameCheck()
    names.rest(0.060)
    clock.now += 3
    names.leave([X])
    assert names.due_for_walk() == [X]
    names.rest(0.023)  # 3 ms were earned meanwhile: 20 ms too much
    names.leave([X])
    clock.now += 19.9
    assert names.due_for_walk() == []
    clock.now += 0.2
    assert names.due_for_walk() == [X]


def test_everything_is_due_once_a_minute(clock: Clock) -> None:
    """Not at the start, and once each time."""
    names = NameCheck()
    assert not names.all_due()
    clock.now += 60
    assert names.all_due()
    assert not names.all_due()


def test_an_unnamed_file_does_not_wait_for_quiet(clock: Clock) -> None:
    """It has no name to lose: an event before does not put it off, one after does."""
    names = NameCheck()
    names.unnamed([X, Y])
    names.changed([Y])
    assert names.due(9) == [X]


def test_files_that_only_may_have_moved_come_last_and_few_at_a_time(clock: Clock) -> None:
    """A minute's round over thousands of files does not keep a renamed one waiting."""
    names = NameCheck()
    names.again(f"{number:04}".encode() for number in range(1000))
    names.unnamed([Y])
    names.changed([X])
    clock.now += 2
    assert names.due(8) == [X, Y, b"0000", b"0001"]
    assert names.due(8) == [b"0002", b"0003"]


def test_what_waits_is_bounded(clock: Clock) -> None:
    """However many files change between two samples."""
    names = NameCheck()
    names.changed(f"{number}".encode() for number in range(3 * MAX_WAITING))
    names.unnamed(f"a{number}".encode() for number in range(3 * MAX_WAITING))
    clock.now += 2
    assert len(names.due(10 * MAX_WAITING)) == 2 * MAX_WAITING
