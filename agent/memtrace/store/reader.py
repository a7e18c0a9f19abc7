"""Reads a recording: which moments it holds, and the Sample of any of them."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from memtrace.samples import Sample
from memtrace.store import database
from memtrace.store.decoding import LATEST_TIME
from memtrace.store.errors import StoreError
from memtrace.store.layout import Names
from memtrace.store.segments import LONGEST, SegmentReader

MOST_MOMENTS = 1 << 20
KEPT = 256
"""Samples kept in memory after they were read: going back one does not read a segment again."""


class Moment(NamedTuple):
    """One sample's place. `position`: seconds from the start of the recording, gaps included.

    `run` changes where the recording process was another one: cumulative figures began anew.
    `time` is the clock on the wall, which may have been set meanwhile.
    """

    number: int
    segment: int
    run: int
    time: float
    position: float


class Recording:
    """An open recording. Methods raise StoreError. What is added while it is open is not seen."""

    def __init__(self, path: Path, newest_seconds: float = math.inf) -> None:
        """Open it; of a long one only the newest part if so asked."""
        self._path = path
        self._database = database.read(path)
        self._kept: OrderedDict[int, Sample] = OrderedDict()
        self._open: tuple[SegmentReader, int] | None = None  # and the number of what comes next
        try:
            with database.sentences(path, "reading"):
                self.moments = self._read_moments(newest_seconds)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        self._database.close()

    def boot(self, run: int) -> str | None:
        """Return in which boot of the machine a run was written; None: damaged."""
        with database.sentences(self._path, "reading"):
            row = self._database.execute("SELECT boot FROM runs WHERE run = ?", (run,)).fetchone()
        return row[0] if row and isinstance(row[0], str) else None

    def sample(self, index: int) -> Sample:
        """Return the sample of moments[index]."""
        moment = self.moments[index]
        made = self._kept.get(moment.number)
        if made is None:
            with database.sentences(self._path, "reading"):
                made = self._reach(moment)
        self._kept.move_to_end(moment.number)
        return made

    def _reach(self, moment: Moment) -> Sample:
        """Read its segment up to it."""
        reader, number = self._open or (None, 0)
        if reader is None or not moment.segment < number <= moment.number:
            reader, number = SegmentReader(self._names(moment.run)), moment.segment
        self._open = None
        made = None
        for piece in self._pieces(number, moment.number):
            made = reader.sample(piece)
            self._keep(number, made)
            number += 1
        if made is None or number != moment.number + 1:
            raise StoreError(f"{self._path} is damaged: a sample is missing.")
        self._open = reader, number
        return made

    def _keep(self, number: int, sample: Sample) -> None:
        self._kept[number] = sample
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def _pieces(self, first: int, last: int) -> Iterator[bytes]:
        """Yield the pieces of these moments, none left out."""
        for number in range(first, last + 1):
            row = self._database.execute(
                "SELECT piece FROM pieces WHERE number = ?", (number,)
            ).fetchone()
            if row is None or not isinstance(row[0], bytes):
                return
            yield row[0]

    def _names(self, run: int) -> Names:
        row = self._database.execute("SELECT fields FROM runs WHERE run = ?", (run,)).fetchone()
        try:
            names = json.loads(row[0]) if row else None
        except (ValueError, TypeError, RecursionError):
            names = None
        if not isinstance(names, dict):
            raise StoreError(f"{self._path} is damaged: it does not name its fields.")
        return names

    def _read_moments(self, newest_seconds: float) -> list[Moment]:
        rows = self._database.execute(
            "SELECT number, segment, run, time, position FROM moments ORDER BY number DESC"
        )
        found: list[Moment] = []
        for row in rows:
            moment = Moment(*row)
            if len(found) >= MOST_MOMENTS or not _sound(moment, found[-1] if found else None):
                raise StoreError(f"{self._path} is damaged: its moments are not in order.")
            if found and found[0].position - moment.position > newest_seconds:
                break
            found.append(moment)
        found.reverse()
        return found


def _sound(moment: Moment, after: Moment | None) -> bool:
    """Tell whether this is what a writer writes in front of the moment after it."""
    number, segment, run, time, position = moment
    if not all(type(each) is int for each in (number, segment, run)):
        return False
    if not all(type(each) in (int, float) and math.isfinite(each) for each in (time, position)):
        return False
    if not (0 <= number - segment < LONGEST and 0 <= time <= LATEST_TIME):
        return False
    return after is None or (number == after.number - 1 and position <= after.position)
