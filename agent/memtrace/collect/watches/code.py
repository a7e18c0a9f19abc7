"""Names of the functions at addresses in processes, from the files that are mapped there.

Bounded in memory, and in time while `begin` says so. A process that ended before it was looked at
has no names. May take as long as somebody's file system does.
"""

from __future__ import annotations

import os
import time
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

from memtrace.golang.symbolize import Symbols
from memtrace.host.procfs import executable_mappings, runs_from

MAX_FILES = 32
MAX_FILE_BYTES = 2 << 20
"""Of tables of symbols, together."""
CACHED = 64
"""Names that each file keeps: those of processes are kept with the process."""
MAX_PROCESSES = 128
MAX_MAPPINGS = 512
"""Of each process."""
MAX_NAME_BYTES = 2 << 20
"""Of all names; from there on nothing new is named until they are given up."""
LEAST_PAUSE, MOST_PAUSE = 1.0, 64.0
"""Seconds until a process' mappings are read again for an address that is in none of them."""
_TRIES = 3
_ENTRY_BYTES = 200  # about what a name costs in a table besides its characters

Process = tuple[int, int, int | None]
"""Pid, start, and where its program's code begins: what an exec changes. None: whatever it runs."""
File = tuple[int, int, int]  # inode, size and time of change


class CodeNames:
    """Call `frames` with what a stack of a living process consists of; close it when done.

    `complete`: whether since `begin` nothing was put off, for want of time or because a process'
    mappings are not there yet. `full`: there is no room for more names.
    """

    def __init__(self, root: Path, most: int = MAX_NAME_BYTES) -> None:
        self.root = root
        self.complete = True
        self.turn = 0
        self._most = most
        self._held = 0
        self._end = float("inf")
        self._files: dict[File, Symbols] = {}
        self._processes: dict[Process, _Process] = {}

    @property
    def full(self) -> bool:
        """Whether there is no room for more names."""
        return self._held > self._most

    def begin(self, seconds: float) -> None:
        """Look for new names for so long; what is known is told afterwards, too."""
        self.turn += 1
        self.complete = True
        self._end = time.monotonic() + seconds

    def frames(self, process: Process, pcs: Sequence[int]) -> tuple[str, ...]:
        """The function at each return address, "" where nothing tells."""
        known = self._processes.get(process)
        if known is None:
            if len(self._processes) >= MAX_PROCESSES:
                oldest = self._processes.pop(next(iter(self._processes)))
                self._held -= oldest.held
            known = self._processes[process] = _Process(self, process)
        return known.frames(pcs)

    def forget(self) -> None:
        """Give up all names, and what is known of processes."""
        self._processes.clear()
        self._held = 0

    def close(self) -> None:
        """Give all descriptors back. May be called twice."""
        for symbols in self._files.values():
            symbols.close()
        self._files.clear()
        self.forget()

    def may_look(self) -> bool:
        """Whether there is time and room for one more name."""
        late = time.monotonic() > self._end
        self.complete &= not late
        return not late and not self.full

    def hold(self, name: str) -> int:
        """Count a name that is kept; about how many bytes it takes."""
        size = len(name.encode("utf-8", "replace")) * (1 if name.isascii() else 4) + _ENTRY_BYTES
        self._held += size
        return size

    def name(self, pid: int, start: int, end: int, offset: int) -> str:
        """The function at a place in the file that is mapped from `start` to `end`."""
        try:
            fd = os.open(
                self.root / f"proc/{pid}/map_files/{start:x}-{end:x}",
                os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK,
            )
        except OSError:
            return ""
        try:
            return self._symbols(fd).name_at(offset) or ""
        except OSError:
            return ""
        finally:
            os.close(fd)
            self._make_room()

    def _symbols(self, fd: int) -> Symbols:
        status = os.fstat(fd)
        file = status.st_ino, status.st_size, status.st_mtime_ns
        known = self._files.pop(file, None) or Symbols(fd, CACHED)
        self._files[file] = known  # the one that was used last is given up last
        return known

    def _make_room(self) -> None:
        while len(self._files) > MAX_FILES or (
            len(self._files) > 1
            and sum(each.size for each in self._files.values()) > MAX_FILE_BYTES
        ):
            self._files.pop(next(iter(self._files))).close()


class _Process:
    """The mappings of one process and the names found in it so far."""

    def __init__(self, code: CodeNames, process: Process) -> None:
        self._code = code
        self._process = process
        self._program: tuple[int, int] | None = None
        self._starts, self._ends, self._offsets = array("Q"), array("Q"), array("Q")
        self._names: dict[int, str] = {}
        self._turn: int | None = None
        self._tries, self._again, self._pause = 0, 0.0, LEAST_PAUSE
        self.held = 0

    def frames(self, pcs: Sequence[int]) -> tuple[str, ...]:
        """The names of a stack."""
        if self._turn != self._code.turn:
            self._turn = self._code.turn
            self._follow()
        return tuple(self._name(pc - 1) for pc in pcs)  # a return address is behind the call

    def _name(self, address: int) -> str:
        known = self._names.get(address)
        if known is not None:
            return known
        if not self._code.may_look():
            return ""
        place = self._place(address)
        if place is None and self._try_again():
            place = self._place(address)
        if place is None:
            self._code.complete &= self._tries > _TRIES
            return ""
        start, end = self._starts[place], self._ends[place]
        offset = address - start + self._offsets[place]
        name = self._names[address] = self._code.name(self._process[0], start, end, offset)
        self.held += self._code.hold(name)
        return name

    def _place(self, address: int) -> int | None:
        place = bisect_right(self._starts, address) - 1
        return None if place < 0 or address >= self._ends[place] else place

    def _follow(self) -> None:
        """Read the mappings of a program that is new: two may have their code at one address."""
        try:
            status = os.stat(self._code.root / f"proc/{self._process[0]}/exe")
        except OSError:
            return
        program = status.st_dev, status.st_ino
        if program != self._program:
            self._program = program
            self._read()

    def _try_again(self) -> bool:
        """Read the mappings again if that was long enough ago: a library may have been loaded."""
        now = time.monotonic()
        if now < self._again:
            return False
        self._tries += 1
        self._again, self._pause = now + self._pause, min(2 * self._pause, MOST_PAUSE)
        self._read()
        return True

    def _read(self) -> None:
        pid, start, text = self._process
        found = executable_mappings(self._code.root, pid)[:MAX_MAPPINGS]
        if not found or (text is not None and not runs_from(self._code.root, pid, start, text)):
            return  # not there yet, or it became another one: what was known stays
        starts, ends, offsets = zip(*found, strict=True)
        self._starts, self._ends, self._offsets = (
            array("Q", each) for each in (starts, ends, offsets)
        )
