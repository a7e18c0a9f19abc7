"""Few points out of many samples: of each stretch of samples the one that stands highest.

So that a peak of a day is in a picture of 300 points, at the height it had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

from memtrace.model.report.shapes import Gap

POINTS = 300
_LONGEST = 3.0
"""Times the usual step between samples: what is longer is a gap."""
_LEAST_GAP_SECONDS = 5.0

Kept = TypeVar("Kept")


class Columns(Generic[Kept]):
    """Takes moments in their order, by number from 0 on, and keeps at most one of each column."""

    def __init__(self, moments: int, height: Callable[[Kept], int], points: int = POINTS) -> None:
        self._moments, self._points = max(1, moments), min(points, max(1, moments))
        self._height = height
        self._kept: dict[int, tuple[int, Kept]] = {}

    def add(self, number: int, what: Kept) -> None:
        """Keep it if nothing in its column stands higher."""
        column = number * self._points // self._moments
        known = self._kept.get(column)
        if known is None or self._height(what) >= self._height(known[1]):
            self._kept[column] = (number, what)

    def kept(self) -> list[tuple[int, Kept]]:
        """Return what was kept with its number, in order."""
        return [self._kept[column] for column in sorted(self._kept)]

    def filled(self) -> list[Kept | None]:
        """Return one for each column, None where there was nothing."""
        found = (self._kept.get(column) for column in range(self._points))
        return [None if each is None else each[1] for each in found]

    def runs(self, seconds: Callable[[Kept], float], gaps: Sequence[Gap]) -> list[list[Kept]]:
        """Return what was kept, parted where a gap lies or a column between two has nothing."""
        found: list[list[Kept]] = []
        before = -2
        for column in sorted(self._kept):
            what = self._kept[column][1]
            new = column != before + 1
            if not new:
                then, now = seconds(found[-1][-1]), seconds(what)
                new = any(then <= gap.begin and gap.end <= now for gap in gaps)
            if new:
                found.append([])
            found[-1].append(what)
            before = column
        return found


def gaps_of(positions: Sequence[float], runs: Sequence[int]) -> tuple[Gap, ...]:
    """Return where samples are missing. `runs`: by which run of memtrace each was written."""
    steps = [later - now for now, later in pairwise(positions)]
    if not steps:
        return ()
    usual = sorted(steps)[len(steps) // 2]
    long = max(_LEAST_GAP_SECONDS, _LONGEST * usual)
    return tuple(_gaps(positions, runs, steps, long))


def _gaps(
    positions: Sequence[float], runs: Sequence[int], steps: Sequence[float], long: float
) -> Iterable[Gap]:
    for number, step in enumerate(steps):
        new_run = runs[number] != runs[number + 1]
        if new_run or step > long:
            reason = "memtrace was started anew" if new_run else "no sample was written"
            yield Gap(positions[number], positions[number + 1], reason)
