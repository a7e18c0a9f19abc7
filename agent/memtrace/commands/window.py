"""A stretch of a recording, gone through from its first to its last sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from memtrace.commands.track import Track
from memtrace.model.report.points import gaps_of
from memtrace.model.report.shapes import Gap
from memtrace.model.shapes import Snapshot
from memtrace.samples import Sample
from memtrace.store.reader import Moment, Recording


class Seen(NamedTuple):
    """One sample: its number and the seconds from the beginning of the stretch."""

    number: int
    seconds: float
    new_run: bool
    snapshot: Snapshot


class Window:
    """The moments from `first` to `last`."""

    def __init__(self, moments: Sequence[Moment], first: int, last: int) -> None:
        self._moments, self._first = moments[first : last + 1], first
        self.count = len(self._moments)
        self.begin = self._moments[0].time
        self.seconds = self.at(self.count - 1)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Where samples are missing."""
        runs = [moment.run for moment in self._moments]
        return gaps_of([self.at(number) for number in range(self.count)], runs)

    def through(
        self, track: Track, tell: Callable[[float], None] | None, done: float
    ) -> Iterator[Seen]:
        """Yield every sample. `tell` hears of the progress, from the share `done` to half more."""
        for number, moment in enumerate(self._moments):
            if tell is not None and number % 100 == 0:
                tell(done + number / self.count / 2)
            new = bool(number) and moment.run != self._moments[number - 1].run
            yield Seen(number, self.at(number), new, track.snapshot(self._first + number))

    def samples(self, recording: Recording, number: int, most: int) -> list[Sample]:
        """Return the samples up to that one, of the same run of memtrace. Raises StoreError."""
        last = self._moments[number]
        numbers = [n for n, each in enumerate(self._moments[: number + 1]) if each.run == last.run]
        return [recording.sample(self._first + each) for each in numbers[-most:]]

    def at(self, number: int) -> float:
        """Return how many seconds after the beginning the sample of that number was taken."""
        return self._moments[number].position - self._moments[0].position
