"""Finds the processes that run Go programs: new ones at once, others again in case of an exec.

A program file that is known is not read again. Looking costs a listing of /proc, and opening
the program of each process that is due: what runs something else is looked at again after 1, 2,
4, 8, 8, ... seconds, as containers often begin with a shell.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from memtrace.golang.binary import GoBinary, Identity, inspect
from memtrace.golang.refusal import State
from memtrace.host.procfs import all_pids, newest_pid

LEAST_PAUSE, MOST_PAUSE = 1.0, 8.0
LIST_SECONDS = 16.0
"""/proc is listed when an id was given away since the last time, and at least this often."""
BUDGET_SECONDS = 0.05
"""CPU time for reading programs in one look; what is left over has its turn in the next one."""
MAX_LOOKS = 512
MAX_FILES = 1024
"""Program files that are remembered."""
GO = (State.GO, State.VERSION_ONLY)

Key = TypeVar("Key")
Value = TypeVar("Value")
File = tuple[int, int, int, int]  # device, inode, size, time of change


class GoFinder:
    """Call `look` for each sample; it tells each Go process once, until `forget`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._due: dict[int, tuple[float, float]] = {}  # other processes: due when, pause then
        self.found: set[int] = set()  # Go processes that were told and are there
        self._here: set[int] = set()  # as of the last list
        self._newest: bytes | None = None
        self._list_again = 0.0
        self._last = 0
        self._files: dict[File, GoBinary] = {}
        self._programs: dict[Identity, GoBinary] = {}

    def look(self, now: float, thorough: bool = False) -> Iterator[tuple[int, GoBinary]]:
        """Yield the Go processes that are new at `now` (monotonic seconds).

        `thorough`: look into every program that is new, however long it takes.
        """
        here = self._listed(now)
        began, looks = time.thread_time(), 0
        for pid in self._in_turn(here - self.found):
            due, pause = self._due.get(pid, (now, LEAST_PAUSE))
            if now < due:
                continue
            looks += 1
            spent = looks > MAX_LOOKS or time.thread_time() - began > BUDGET_SECONDS
            if spent and not thorough:
                return
            self._last = pid
            program = self._program(pid)
            if program is not None and program.state in GO:
                self._due.pop(pid, None)
                self.found.add(pid)
                yield pid, program
            else:
                self._due[pid] = now + pause, min(2 * pause, MOST_PAUSE)

    def postpone(self, pid: int, now: float) -> None:
        """Nothing can be made of the process yet: it is told once more, but not at once."""
        self.forget(pid)
        self._due[pid] = now + LEAST_PAUSE, min(2 * LEAST_PAUSE, MOST_PAUSE)

    def forget(self, pid: int) -> None:
        """The process ended or runs something else by now: it is looked at like a new one."""
        self.found.discard(pid)

    def _in_turn(self, pids: set[int]) -> list[int]:
        """Those first that come after the last one: nobody's programs keep others from theirs."""
        ordered = sorted(pids)
        at = bisect_right(ordered, self._last)
        return ordered[at:] + ordered[:at]

    def _listed(self, now: float) -> set[int]:
        """Return the processes that are there; some of them may have ended."""
        newest = newest_pid(self._root)
        if newest is None or newest != self._newest or now >= self._list_again:
            self._newest, self._list_again = newest, now + LIST_SECONDS
            self._here = all_pids(self._root)
            self._forget_all_but(self._here)
        return self._here

    def _forget_all_but(self, here: set[int]) -> None:
        for gone in self._due.keys() - here:
            del self._due[gone]
        self.found &= here

    def _program(self, pid: int) -> GoBinary | None:
        """Return what a process runs; None when it is gone, or a kernel thread."""
        try:
            fd = os.open(self._root / f"proc/{pid}/exe", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            status = os.fstat(fd)
            file = status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns
            known = self._files.get(file)
            if known is None:
                known = self._inspect(fd)
                _remember(self._files, file, known)
            return known
        except OSError:
            return None
        finally:
            os.close(fd)

    def _inspect(self, fd: int) -> GoBinary:
        """Read a file; the same one below another mount is the same program.

        Only if the same was found in it: whoever may write files can give one any identity.
        """
        program = inspect(fd)
        if program.identity is None:
            return program
        _remember(self._programs, program.identity, program)
        known = self._programs[program.identity]
        return known if known == program else program


def _remember(table: dict[Key, Value], key: Key, value: Value) -> None:
    """Keep what is there; the oldest entry of a full table goes."""
    if key not in table and len(table) >= MAX_FILES:
        del table[next(iter(table))]
    table.setdefault(key, value)
