"""Where things are in a chart: seconds across, bytes upwards, and which of them get a label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from memtrace.model.report.shapes import Gap
from memtrace.model.units import clock

HEIGHT = 220
HEAD = 20
FOOT = 24
UNITS = 1000
"""Width and height of the stretched part, in its own units."""

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_MOST_LABELS = 6
_MUCH_ABOVE = 2.5

Tick = tuple[float, str]


class Scale(NamedTuple):
    """A stretch of time and an amount that is at the top."""

    begin: float
    end: float
    top: int
    ticks: tuple[Tick, ...]
    gaps: tuple[Gap, ...] = ()

    def share(self, seconds: float) -> float:
        """How far to the right, from 0 to 1."""
        whole = self.end - self.begin
        return min(1.0, max(0.0, (seconds - self.begin) / whole)) if whole > 0 else 0.5

    def percent(self, seconds: float) -> str:
        """The same as a length that fits any width."""
        return f"{100 * self.share(seconds):.2f}%"

    def pixel(self, amount: int) -> float:
        """How far below the upper edge of the whole picture, in pixels."""
        return round(HEAD + HEIGHT * (1 - min(1.0, amount / self.top)), 1)

    def spot(self, seconds: float, amount: int) -> str:
        """A point of a path in the stretched part."""
        height = UNITS * (1 - min(1.0, max(0, amount) / self.top))
        return f"{round(UNITS * self.share(seconds))} {round(height)}"


def top_of(highest: int, limits: Sequence[int | None]) -> int:
    """Return the amount at the upper edge: limits are in sight unless far above all there is."""
    near = [limit for limit in limits if limit and limit <= _MUCH_ABOVE * highest]
    return max(1, round(1.08 * max([highest, *near])))


def amounts(top: int) -> list[int]:
    """Return which amounts get a line: powers of two and their multiples, four at most."""
    quarter = -(-top // 4)
    step = 1 << max(0, quarter - 1).bit_length()
    return [step * each for each in range(1, top // step + 1)]


def clock_ticks(begin: float, seconds: float) -> tuple[Tick, ...]:
    """Return round times of day in UTC. `begin`: the wall clock at second 0."""
    step = _step(seconds)
    form = "%d %b %H:%M" if seconds > 86400 else "%H:%M" if step >= 60 else "%H:%M:%S"
    first = math.ceil(begin / step) * step
    count = int((begin + seconds - first) // step) + 1
    return tuple((first - begin + n * step, _utc(first + n * step, form)) for n in range(count))


def countdown(seconds: float, name: str) -> tuple[Tick, ...]:
    """Return round times before second 0, which is called `name`."""
    step = _step(seconds)
    count = int(seconds // step)
    return (*((-n * step, f"-{clock(n * step)}") for n in range(count, 0, -1)), (0.0, name))


def moment(time: float) -> str:
    """Return a time of day in UTC."""
    return _utc(time, "%H:%M:%S")


def day_and_time(time: float | None) -> str:
    """Return a date and a time of day in UTC; a dash when unknown."""
    return "-" if time is None else _utc(time, "%Y-%m-%d %H:%M:%S UTC")


def _step(seconds: float) -> int:
    fitting = (step for step in _STEPS if seconds / step <= _MOST_LABELS)
    return next(fitting, 86400 * math.ceil(seconds / 86400 / _MOST_LABELS))


def _utc(time: float, form: str) -> str:
    try:
        return datetime.fromtimestamp(time, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return "-"
