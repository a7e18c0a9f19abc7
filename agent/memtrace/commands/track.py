"""What a recording shows at each of its moments: the very snapshots that were seen live.

A snapshot follows from a sample and the one before, so that it can be made of any moment
without those further back.
"""

from __future__ import annotations

from collections.abc import Iterator

from memtrace.model.history import LENGTH, History
from memtrace.model.modeler import Modeler
from memtrace.model.shapes import Snapshot
from memtrace.store.reader import Recording


class Track:
    """The snapshots of a recording; going through them in their order costs least."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._modeler, self._next = Modeler(), -1

    def snapshot(self, index: int) -> Snapshot:
        """Return the moment's snapshot. Raises StoreError."""
        if index != self._next or self._begins_run(index):
            self._modeler = Modeler()
            if not self._begins_run(index):
                self._modeler.snapshot(self._recording.sample(index - 1))
        self._next = index + 1
        return self._modeler.snapshot(self._recording.sample(index))

    def from_index(self, index: int) -> Iterator[Snapshot]:
        """Yield the snapshots from there on."""
        return (self.snapshot(each) for each in range(index, len(self._recording.moments)))

    def history(self, index: int) -> History:
        """Return what was seen before that moment, as far back as trends go. Raises StoreError."""
        history, first = History(), self._run_start(index)
        if first == index:
            return history
        history.note(self._recording.sample(first).cgroups)  # growth is counted from there
        start = max(first + 1, index - LENGTH + 1)
        for each in range(start, index):
            left_out = start - first - 1 if each == start else 0
            history.note(self._recording.sample(each).cgroups, left_out)
        return history

    def _begins_run(self, index: int) -> bool:
        moments = self._recording.moments
        return index == 0 or moments[index].run != moments[index - 1].run

    def _run_start(self, index: int) -> int:
        while not self._begins_run(index):
            index -= 1
        return index
