"""Bars and sparklines of a few characters. Given numbers; knows nothing of containers."""

from __future__ import annotations

from collections.abc import Iterator

from memtrace.model.history import Trend
from memtrace.views.screen.look import Look

_LEAST_SPAN = 0.05  # of the largest value: a flat line is not to look like a mountain


def bar(part: int | None, whole: int | None, room: int, look: Look) -> str:
    """Return how much of the whole a part is; blank when unknown."""
    if part is None or not whole:
        return " " * room
    full = min(room, max(0, round(room * part / whole)))
    return look.full * full + look.empty * (room - full)


def sparkline(trend: Trend, room: int, look: Look) -> str:
    """Return the trend in `room` columns, newest last; blank where it is unknown.

    A column stands for one sample or, once there are more than columns, for several: always
    the same ones, so the chart moves as a whole or not at all.
    """
    if room <= 0:
        return ""
    each = max(1, -(-len(trend.usage) // room))
    values = list(_columns(trend, each))[-room:]
    known = [value for value in values if value is not None]
    if not known:
        return " " * room
    low, high = min(known), max(known)
    span = max(high - low, high * _LEAST_SPAN, 1.0)
    steps = len(look.spark) - 1
    drawn = (" " if v is None else look.spark[round(steps * (v - low) / span)] for v in values)
    return "".join(drawn).rjust(room)


def _columns(trend: Trend, each: int) -> Iterator[int | None]:
    """Yield the largest of every `each` samples, counted from the very first one."""
    first = trend.end - len(trend.usage)
    at = 0
    while at < len(trend.usage):
        until = min(len(trend.usage), at + each - (first + at) % each)
        known = [value for value in trend.usage[at:until] if value is not None]
        yield max(known, default=None)
        at = until
