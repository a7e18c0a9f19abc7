"""Names of the functions at addresses in processes, from the files that are mapped there.

Bounded: what is known of processes and files is given up, the oldest first. A process that
ended before it was looked at has no names.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from memtrace.golang.symbolize import Symbols
from memtrace.host.procfs import Mapping, executable_mappings

MAX_FILES = 64
MAX_PROCESSES = 256
MAX_STACKS = 2048
"""Of each process."""

Value = TypeVar("Value")
File = tuple[int, int, int]  # inode, size and time of change


class CodeNames:
    """Call `frames` with what a stack of a living process consists of; close it when done."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[File, Symbols] = {}
        self._processes: dict[tuple[int, int], _Process] = {}

    def frames(self, process: tuple[int, int], pcs: Sequence[int]) -> tuple[str, ...]:
        """The function at each return address, "" where nothing tells; `process`: pid and start."""
        known = self._processes.get(process)
        if known is None:
            _make_room(self._processes, MAX_PROCESSES)
            known = self._processes[process] = _Process(self, process[0])
        return known.frames(pcs)

    def close(self) -> None:
        """Give all descriptors back. May be called twice."""
        for symbols in self._files.values():
            symbols.close()
        self._files.clear()
        self._processes.clear()

    def mappings(self, pid: int) -> tuple[Mapping, ...]:
        """What may be executed in a process, lowest first."""
        return executable_mappings(self._root, pid)

    def name(self, pid: int, mapping: Mapping, offset: int) -> str:
        """The function at a place in a mapped file."""
        try:
            fd = os.open(
                self._root / f"proc/{pid}/map_files/{mapping.start:x}-{mapping.end:x}",
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

    def _symbols(self, fd: int) -> Symbols:
        status = os.fstat(fd)
        file = status.st_ino, status.st_size, status.st_mtime_ns
        known = self._files.get(file)
        if known is None:
            for old in _make_room(self._files, MAX_FILES):
                old.close()
            known = self._files[file] = Symbols(fd)
        return known


class _Process:
    """The mappings of one process and the names found in it so far."""

    def __init__(self, code: CodeNames, pid: int) -> None:
        self._code = code
        self._pid = pid
        self._mappings = code.mappings(pid)
        self._starts = [mapping.start for mapping in self._mappings]
        self._names: dict[int, str] = {}
        self._stacks: dict[Sequence[int], tuple[str, ...]] = {}

    def frames(self, pcs: Sequence[int]) -> tuple[str, ...]:
        """The names of a stack."""
        known = self._stacks.get(pcs)
        if known is None:
            known = tuple(self._name(pc - 1) for pc in pcs)  # a return address is behind the call
            if len(self._stacks) >= MAX_STACKS:
                self._stacks.clear()
                self._names.clear()
            self._stacks[pcs] = known
        return known

    def _name(self, address: int) -> str:
        known = self._names.get(address)
        if known is None:
            known = self._names[address] = self._found(address)
        return known

    def _found(self, address: int) -> str:
        place = bisect_right(self._starts, address) - 1
        if place < 0 or address >= self._mappings[place].end:
            return ""
        mapping = self._mappings[place]
        return self._code.name(self._pid, mapping, address - mapping.start + mapping.offset)


def _make_room(table: dict[Any, Value], bound: int) -> list[Value]:
    """Take the oldest entry out of a full table."""
    return [table.pop(next(iter(table)))] if len(table) >= bound else []
