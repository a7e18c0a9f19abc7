"""The agent's rolling history: one recording in the state directory that goes on over restarts.

What cannot be written is a named feature off; the agent goes on, and tries again.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from memtrace.samples import Feature, Sample
from memtrace.store.database import COMPANIONS, remove
from memtrace.store.errors import StoreError, UnusableError
from memtrace.store.reader import Recording
from memtrace.store.writer import Bounds, Writer

FILE = "history.mtr"
ASIDE = "history.unreadable"
AGAIN_SECONDS = 10.0
"""After a sample could not be written, how long until the next try: a disk that is all but full
would have it go off and on at each sample."""


class History:
    """Appends Samples while it can. `feature` says whether it can now."""

    def __init__(self, directory: Path, boot: str, bounds: Bounds) -> None:
        """Nothing is opened before the first sample."""
        self._directory, self._boot, self._bounds = directory, boot, bounds
        self._writer: Writer | None = None
        self._again_at = float("-inf")
        self.feature = Feature(True)

    def recent(self, seconds: float) -> list[Sample]:
        """What an agent of this boot wrote in the last `seconds`, oldest first; [] when nothing."""
        with suppress(StoreError, OSError), Recording(self._path, seconds) as past:
            now = time.monotonic()  # the clock on the wall may have been set meanwhile
            found = [
                past.sample(index)
                for index, moment in enumerate(past.moments)
                if past.boot(moment.run) == self._boot
            ]
            return [sample for sample in found if now - seconds <= sample.monotonic < now]
        return []

    def append(self, sample: Sample) -> None:
        """Write one sample, or note in `feature` why not. Never raises."""
        if sample.monotonic < self._again_at:
            return
        try:
            if self._writer is None:
                self._writer = self._open()
            self._writer.append(sample)
            self.feature = Feature(True)
        except UnusableError as error:
            self.close()
            self._put_aside()
            self.feature = Feature(False, f"{error} It is {ASIDE} now, and a new one is begun.")
        except (StoreError, OSError) as error:
            self.close()
            self._again_at = sample.monotonic + AGAIN_SECONDS
            self.feature = Feature(False, f"no history: {error}")

    def close(self) -> None:
        """Make one whole file of it."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @property
    def _path(self) -> Path:
        return self._directory / FILE

    def _open(self) -> Writer:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        anew = not self._path.exists()
        if anew:
            remove(self._path, COMPANIONS)  # of one that somebody removed: they would be in the way
        return Writer(self._path, self._boot, self._bounds, anew=anew)

    def _put_aside(self) -> None:
        """Keep what is there, but out of the way; what was put aside before goes."""
        aside = self._directory / ASIDE
        remove(aside)
        for more in ("", *COMPANIONS):
            with suppress(OSError):
                os.rename(f"{self._path}{more}", f"{aside}{more}")


def bounds(hours: float, megabytes: float) -> Bounds:
    """How much to keep."""
    return Bounds(hours * 3600.0, int(megabytes * (1 << 20)))
