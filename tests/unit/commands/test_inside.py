"""While a container is looked into, more of it is watched; what was asked for stays."""

from __future__ import annotations

import pytest

from memtrace.commands.inside import InsideLive
from memtrace.commands.watch import ALWAYS_INSIDE
from tests.unit.commands.test_top import FakeLive

REFAULTS = frozenset({"refaults"})


class Looking:
    """A user who looks into containers, and what is watched after each step."""

    def __init__(self) -> None:
        self.live, self.inside = FakeLive(), None
        self.watching = InsideLive(self.live, lambda: self.inside)

    def into(self, cgroup: int | None) -> list[object]:
        """Look there; return what was asked of the source."""
        self.live.watched.clear()
        self.inside = cgroup  # type: ignore[assignment]
        self.watching.wait(0.0)
        return list(self.live.watched)


def test_nothing_is_watched_from_outside() -> None:
    """The list of containers costs no more than before."""
    assert Looking().into(None) == []


def test_the_open_container_is_watched_and_then_no_more() -> None:
    """Armed on entering, disarmed on leaving, and asked once."""
    looking = Looking()
    assert looking.into(7) == [(ALWAYS_INSIDE, frozenset({7}))]
    assert looking.into(7) == []
    assert looking.into(None) == [(frozenset(), frozenset())]


@pytest.mark.parametrize("everybody", [True, False])
def test_what_the_command_line_asks_for_stays(everybody: bool) -> None:
    """--watch goes on, inside and outside."""
    looking = Looking()
    chosen = None if everybody else frozenset({2})
    looking.watching.watch(REFAULTS, chosen)
    both = None if chosen is None else chosen | {7}
    assert looking.into(7) == [(REFAULTS | ALWAYS_INSIDE, both)]
    assert looking.into(None) == [(REFAULTS, chosen)]
