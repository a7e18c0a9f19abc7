"""Keeps the names of shown files true: files of the baseline, and files renamed since.

A path is told at first sight, and much is written under a temporary name and renamed
when it is complete. So files shown are asked for again: soon after their last event, and
all of them once a minute. What only a walk can tell waits until walks are cheap enough.
Decides when and which; asks nobody itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice
from typing import Any

QUIET_SECONDS = 1.5
"""How long after the sample that saw its last event a file's name is looked at again."""
EVERY_SECONDS = 60.0
AGAIN_SHARE = 0.25
"""Of what is asked for at one sample, how much may go to files that only may have moved."""
MAX_WAITING = 16384
LEAST_PAUSE = 3.0
SHARE = 0.001
"""Of one CPU's time that walks for names may take in the long run,"""
CREDIT_SECONDS = 0.06
"""and what may be spent at once after a while without."""

File = bytes


class NameCheck:
    """Which names to ask for again. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._changed: dict[File, float] = {}
        self._unnamed: dict[File, None] = {}
        self._again: dict[File, None] = {}
        self._for_walk: set[File] = set()
        self._rested_at = 0.0
        self._credit = CREDIT_SECONDS
        self._credited_at = time.monotonic()
        self._all_at = time.monotonic() + EVERY_SECONDS

    def unnamed(self, files: Iterable[File]) -> None:
        """Files without a name: to be asked for at the next opportunity."""
        _add(self._unnamed, (file for file in files if file not in self._changed))

    def again(self, files: Iterable[File]) -> None:
        """Files whose name may have become another one without an event: in their turn."""
        _add(self._again, (file for file in files if file not in self._changed))

    def changed(self, files: Iterable[File]) -> None:
        """Files with an event just now: they may be about to be renamed."""
        now = time.monotonic()
        for file in files:
            self._changed[file] = now
            self._unnamed.pop(file, None)
            self._for_walk.discard(file)
        if len(self._changed) > MAX_WAITING:
            _taken(self._changed, len(self._changed) - MAX_WAITING)  # they have their turn later

    def leave(self, files: Iterable[File]) -> None:
        """Files of which only a walk can tell."""
        self._for_walk.update(files)

    def all_due(self) -> bool:
        """Whether it is time to ask for every shown file's name again."""
        now = time.monotonic()
        if now < self._all_at:
            return False
        self._all_at = now + EVERY_SECONDS
        return True

    def due(self, most: int) -> list[File]:
        """At most so many files to ask for now, renamed ones first. They do not wait any more."""
        now = time.monotonic()
        quiet = (file for file, since in self._changed.items() if now - since >= QUIET_SECONDS)
        found = list(islice(quiet, most))
        for file in found:
            del self._changed[file]
        found += _taken(self._unnamed, most - len(found))
        return found + _taken(self._again, min(most - len(found), int(most * AGAIN_SHARE)))

    def due_for_walk(self) -> list[File]:
        """The files left to a walk; none while resting. They are not waiting any more."""
        if time.monotonic() < self._rested_at:
            return []
        found = list(self._for_walk)
        self._for_walk.clear()
        return found

    def rest(self, cost: float) -> None:
        """A walk took `cost` seconds of CPU: pause, and longer when there were many."""
        now = time.monotonic()
        earned = SHARE * (now - self._credited_at)
        self._credit = min(CREDIT_SECONDS, self._credit + earned) - cost
        self._credited_at = now
        self._rested_at = now + max(LEAST_PAUSE, -self._credit / SHARE)


def _add(waiting: dict[File, None], files: Iterable[File]) -> None:
    waiting.update(dict.fromkeys(islice(files, max(0, MAX_WAITING - len(waiting)))))


def _taken(waiting: dict[File, Any], most: int) -> list[File]:
    """Take the first so many out."""
    found = list(islice(waiting, most))
    for file in found:
        del waiting[file]
    return found
