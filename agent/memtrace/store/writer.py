"""Writes Samples as they come, each at once and whole, and drops the oldest beyond its bounds.

What reached append() survives a kill of this process; a power cut loses up to CHECKPOINT_SECONDS.
The page cache that writing takes is given back at each checkpoint.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from memtrace.samples import Sample
from memtrace.store import database, layout
from memtrace.store.errors import StoreError
from memtrace.store.segments import LARGEST_PIECE, LENGTH, SegmentWriter

CHECKPOINT_SECONDS = 30.0


class Bounds(NamedTuple):
    """How much is kept. `size` is in bytes of the file, which may be a segment larger."""

    seconds: float = 24 * 3600.0
    size: int = 256 << 20


BOUNDS = Bounds()


class Written(NamedTuple):
    """What a recording holds so far; `size` is what its file takes, in bytes."""

    samples: int
    seconds: float
    size: int


class _Last(NamedTuple):
    """The moment written last, by whichever process."""

    number: int = 0
    boot: str = ""
    time: float = 0.0
    monotonic: float = 0.0
    position: float = 0.0


class Writer:
    """One process' writing to one recording; for one thread at a time. Closed by close().

    `boot` names this boot of the machine: within one, moments are ordered by the monotonic
    clock, whatever people do to the other one. Everything but close() raises StoreError, and
    what was written before stays readable.
    """

    def __init__(
        self, path: Path, boot: str, bounds: Bounds = BOUNDS, *, anew: bool = True
    ) -> None:
        """Begin a new recording where nothing is; with anew=False go on with what is there."""
        self._path, self._boot, self._bounds = path, boot, bounds
        self._database = database.make(path) if anew else _resumed(path)
        try:
            # Kept open until the end: closing any descriptor of the file drops SQLite's locks.
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self._database.close()
            raise StoreError(f"{path} cannot be read: {error.strerror}.") from error
        try:
            with database.sentences(path, "opening"):
                self._last = self._find_last()
                self._run = self._begin_run()
                self._oldest = self._first_number()
        except BaseException:
            self.close()
            if anew:
                database.remove(path)
            raise
        self._segment: SegmentWriter | None = None
        self._segment_number = 0
        self._checked = self._last.position

    def append(self, sample: Sample) -> None:
        """Write one sample. After an error the next one may be tried: it will stand alone."""
        self._refuse_elsewhere()
        last = self._last
        number, position = last.number + 1, last.position + self._elapsed(sample)
        segment = self._segment
        if segment is None or segment.count >= LENGTH:
            self._segment, segment = None, SegmentWriter()
            self._segment_number = number
            self._drop_oldest(position)
        self._segment = None  # until it is written, the segment cannot be continued
        piece = segment.piece(sample)
        if len(piece) > LARGEST_PIECE:
            raise StoreError("a sample is too large to be recorded.")
        moment = (number, self._segment_number, self._run, sample.time, sample.monotonic, position)
        self._write(moment, piece)
        self._segment = segment
        self._last = _Last(number, self._boot, sample.time, sample.monotonic, position)
        if position - self._checked >= CHECKPOINT_SECONDS:
            self._checked = position
            with database.sentences(self._path, "writing"):
                self._checkpoint()

    @property
    def written(self) -> Written:
        """What the recording holds."""
        with database.sentences(self._path, "reading"):
            row = self._database.execute(
                "SELECT position FROM moments WHERE number = ?", (self._oldest,)
            ).fetchone()
            begin = row[0] if row else self._last.position
            seconds = self._last.position - begin
            return Written(self._last.number - self._oldest + 1, seconds, self._used())

    def close(self) -> None:
        """Make one file of it that needs nothing beside it. May be called twice."""
        with suppress(sqlite3.Error):  # a full disk: what is written lies beside the file, whole
            self._checkpoint()
            self._database.execute("PRAGMA journal_mode = DELETE")
        self._database.close()
        if self._file >= 0:
            self._drop_cache()
            os.close(self._file)
            self._file = -1

    def _refuse_elsewhere(self) -> None:
        """Raise StoreError unless the file is where it was: nobody could read what is written."""
        try:
            same = os.path.samestat(self._path.stat(), os.fstat(self._file))
        except OSError:
            same = False
        if not same:
            raise StoreError(f"{self._path} was removed or replaced while it was written.")

    def _write(self, moment: tuple[float, ...], piece: bytes) -> None:
        with database.sentences(self._path, "writing"), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("INSERT INTO moments VALUES (?, ?, ?, ?, ?, ?)", moment)
            self._database.execute("INSERT INTO pieces VALUES (?, ?)", (moment[0], piece))

    def _elapsed(self, sample: Sample) -> float:
        """Return the seconds since the last moment; clocks that were set back count as none."""
        last = self._last
        if not last.number:
            return 0.0
        if last.boot == self._boot:
            return max(0.0, sample.monotonic - last.monotonic)
        return max(0.0, sample.time - last.time)

    def _find_last(self) -> _Last:
        row = self._database.execute(
            "SELECT number, boot, time, monotonic, position FROM moments "
            "LEFT JOIN runs USING (run) ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return _Last(*row) if row else _Last()

    def _begin_run(self) -> int:
        names = json.dumps(layout.field_names())
        added = self._database.execute(
            "INSERT INTO runs (boot, fields) VALUES (?, ?)", (self._boot, names)
        )
        return added.lastrowid or 0

    def _first_number(self) -> int:
        row = self._database.execute("SELECT min(number) FROM moments").fetchone()
        return row[0] or 1

    def _drop_oldest(self, position: float) -> None:
        """Leave out whole segments from the beginning until what stays is within the bounds."""
        with database.sentences(self._path, "writing"):
            while (second := self._second_segment()) is not None:
                number, begins = second
                old = begins <= position - self._bounds.seconds
                if not old and self._used() <= self._bounds.size:
                    return
                with self._database:
                    self._database.execute("BEGIN IMMEDIATE")
                    for table in ("moments", "pieces"):
                        self._database.execute(f"DELETE FROM {table} WHERE number < ?", (number,))
                    self._database.execute(
                        "DELETE FROM runs WHERE run < (SELECT min(run) FROM moments)"
                    )
                self._oldest = number

    def _second_segment(self) -> tuple[int, float] | None:
        """Return where the segment after the oldest begins."""
        row = self._database.execute(
            "SELECT number, position FROM moments WHERE number > ? AND number = segment "
            "ORDER BY number LIMIT 1",
            (self._oldest,),
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def _used(self) -> int:
        """Return the bytes that are in use; what was dropped is used again."""
        pages, free, size = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        used: int = (pages - free) * size
        return used

    def _checkpoint(self) -> None:
        """Sync everything into the file itself, unless somebody is just reading."""
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._drop_cache()

    def _drop_cache(self) -> None:
        with suppress(OSError):
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)


def _resumed(path: Path) -> sqlite3.Connection:
    return database.resume(path) if path.exists() else database.make(path)
