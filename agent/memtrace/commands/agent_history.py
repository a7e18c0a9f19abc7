"""The agent's rolling history: one recording in the state directory that goes on over restarts.

What cannot be written is a named feature off; the agent goes on, and tries again.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from memtrace.samples import Feature, Sample
from memtrace.store.errors import StoreError
from memtrace.store.reader import Recording
from memtrace.store.writer import Bounds, Writer

FILE = "history.mtr"
ASIDE = "history.unreadable"
AGAIN_SECONDS = 60.0
"""After a recording could not be opened, how long until the next try."""


class History:
    """Appends Samples while it can. `feature` says whether it can now."""

    def __init__(self, directory: Path, boot: str, bounds: Bounds) -> None:
        """Nothing is opened before the first sample."""
        self._directory, self._boot, self._bounds = directory, boot, bounds
        self._writer: Writer | None = None
        self._tried = float("-inf")
        self.feature = Feature(True)

    def recent(self, seconds: float) -> list[Sample]:
        """What an agent of this boot wrote in the last `seconds`, oldest first; [] when nothing."""
        with suppress(StoreError, OSError), Recording(self._path, seconds) as past:
            since, now = time.time() - seconds, time.monotonic()
            found = [
                past.sample(index)
                for index, moment in enumerate(past.moments)
                if moment.time >= since
            ]
            return [sample for sample in found if sample.monotonic < now]
        return []

    def append(self, sample: Sample) -> None:
        """Write one sample, or note in `feature` why not. Never raises."""
        try:
            writer = self._writer or self._open(sample.monotonic)
            if writer is not None:
                writer.append(sample)
                self.feature = Feature(True)
        except (StoreError, OSError) as error:
            self.feature = Feature(False, f"no history: {error}")

    def close(self) -> None:
        """Make one whole file of it."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @property
    def _path(self) -> Path:
        return self._directory / FILE

    def _open(self, now: float) -> Writer | None:
        if now - self._tried < AGAIN_SECONDS:
            return None
        self._tried = now
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._writer = self._begin()
        except StoreError:
            if not self._path.exists():
                raise
            # somebody else's, damaged, or of a newer version: kept, but out of the way
            self._path.rename(self._directory / ASIDE)
            self._writer = self._begin()
        return self._writer

    def _begin(self) -> Writer:
        return Writer(self._path, self._boot, self._bounds, anew=not self._path.exists())


def bounds(hours: float, megabytes: float) -> Bounds:
    """How much to keep."""
    return Bounds(hours * 3600.0, int(megabytes * (1 << 20)))
