"""Reads what a Go runtime knows of itself out of its process' memory. Never writes to it.

One descriptor of /proc/PID/mem stays open: it belongs to the memory, not to the pid, so it reads
nothing once the process ended or runs another program. The process is not stopped. Opening it
needs CAP_SYS_PTRACE for other users' processes (ptrace(2), PTRACE_MODE_ATTACH).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from memtrace.golang.binary import GoBinary
from memtrace.golang.gcstate import BLOCK_BYTES, GcState, decode, offset_of
from memtrace.golang.heap_profile import HeapProfile, read_profile
from memtrace.golang.refusal import Refusal, State
from memtrace.host.procfs import lowest_mapping
from memtrace.samples import GoHeap

_NUMBER = struct.Struct("<i")
_MOST_PROCS = 1 << 20
_FULL_READ_EVERY = 8
OFF = -1  # debug.SetGCPercent(-1)


class EndedError(Exception):
    """The memory is gone: the process ended or runs another program."""


def heap_of(state: GcState, procs: int | None = None, cycles: int | None = None) -> GoHeap:
    """The figures in a Sample's terms; GOMAXPROCS and the count of cycles are kept elsewhere."""
    return GoHeap(
        OFF if state.gogc is None else state.gogc,
        state.memory_limit,
        procs,
        state.heap_live,
        state.heap_in_use,
        state.heap_idle,
        state.heap_released,
        max(state.heap_goal, state.heap_live),
        state.mapped_ready,
        state.total_allocated,
        cycles,
    )


def open_memory(root: Path, pid: int, program: GoBinary) -> GoMemory:
    """The runtime of a process whose `program` has `places`, and `build`.

    Raises OSError when its memory may not be read, EndedError when its program is not mapped
    there: not any more, or not yet, as is so for a moment after exec.
    """
    fd = os.open(root / f"proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    inode = 0 if program.identity is None else program.identity.inode
    mapped = lowest_mapping(root, pid, inode)
    if mapped is None:
        os.close(fd)
        raise EndedError
    return GoMemory(fd, program, mapped)


class GoMemory:
    """The runtime of one process. `mapped`: where the lowest mapping of its program begins."""

    def __init__(self, fd: int, program: GoBinary, mapped: int) -> None:
        """Keep the descriptor of its memory until `close`."""
        if program.places is None or program.build is None or program.build.minor is None:
            raise ValueError("nothing is known of where its runtime keeps what")
        places = program.places
        self._program = program
        self._mapped = mapped
        self.controller = program.running_at(places.gc_controller, mapped)
        self._procs_at = _moved(program, places.gomaxprocs, mapped)
        self._cycles_at = _moved(program, places.cycles, mapped)
        self._minor = program.build.minor
        at = offset_of("markStartTime", self._minor)
        self._mark_start = slice(at, at + 8)  # each collection writes it
        self._block = b""
        self._procs: int | None = None
        self._cycles: int | None = None
        self._heap: GoHeap | None = None
        self._reads = fd % _FULL_READ_EVERY  # so that full reads are spread out
        self._fd = fd

    def read(self) -> GoHeap | None:
        """The figures now; the same object when nothing moved. None: they make no sense (yet).

        Raises EndedError. GOMAXPROCS and the count of collections, which take a read each, are
        read after a collection, and every eighth time.
        """
        block = self._bytes(self.controller, BLOCK_BYTES)
        self._reads += 1
        due = self._procs is None or not self._reads % _FULL_READ_EVERY
        if block == self._block and self._reads % _FULL_READ_EVERY:
            return self._heap
        if due or block[self._mark_start] != self._block[self._mark_start]:
            self._procs = self._number(self._procs_at, 1)
            self._cycles = self._number(self._cycles_at, 0)
        self._block = block
        state = decode(block, self._minor)
        heap = None if state is None else heap_of(state, self._procs, self._cycles)
        if heap != self._heap:
            self._heap = heap
        return self._heap

    def heap_profile(self) -> HeapProfile:
        """The runtime's own heap profile now; Refusal with the reason where there is none.

        Reads up to 50,000 stacks of calls one by one: on demand only.
        """
        places = self._program.profile
        if places is None:
            reason = self._program.missing.get("heap_profile", "its heap profile was not found")
            raise Refusal(State.IMPLAUSIBLE, reason)
        buckets, rate = (self._program.running_at(each, self._mapped) for each in places)
        return read_profile(buckets, rate, self._mapped_bytes, self._minor)

    def ended(self) -> bool:
        """Whether the memory is gone: the process ended or runs another program."""
        return not self._mapped_bytes(self.controller, 1)

    def close(self) -> None:
        """Give the descriptor back. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _number(self, address: int | None, least: int) -> int | None:
        if address is None:
            return None
        value = int(_NUMBER.unpack(self._bytes(address, _NUMBER.size))[0])
        plausible = least <= value and (least == 0 or value <= _MOST_PROCS)
        return value if plausible else None

    def _mapped_bytes(self, address: int, size: int) -> bytes:
        """What is mapped there, down to nothing."""
        try:
            return os.pread(self._fd, size, address)
        except (OSError, OverflowError):
            return b""

    def _bytes(self, address: int, size: int) -> bytes:
        try:
            data = os.pread(self._fd, size, address)
        except OSError as error:
            raise EndedError from error
        if len(data) < size:
            raise EndedError
        return data


def _moved(program: GoBinary, address: int | None, mapped: int) -> int | None:
    return None if address is None else program.running_at(address, mapped)
