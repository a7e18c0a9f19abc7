"""Which functions hold the heap of Go processes, by the runtime's own sampled profile.

Read from their memory and named from their program files, on demand only: nothing else imports
this.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from heapq import nlargest
from itertools import dropwhile, groupby
from operator import attrgetter
from pathlib import Path

from memtrace.collect.go_memory import GoMemory
from memtrace.collect.watches.briefly import briefly, short
from memtrace.collect.watches.code import CodeNames, Process
from memtrace.golang.elf import Elf
from memtrace.golang.heap_profile import (
    MAX_BUCKETS,
    HeapProfile,
    SwitchedOffError,
    left_out,
)
from memtrace.golang.refusal import Refusal
from memtrace.samples import GoHeapFunctions, GoProcess, HeapFunction

NAMED = 1000
"""Stacks of a profile that get names, those that hold most; others are in the sum only."""
FRAMES = 16
MAX_NAME_BYTES = 16 << 20
_RUNTIME = ("runtime.", "internal/runtime/")
_ENDED = "the process ended before its heap profile was read"
_OFF = "the program keeps no heap profile: its runtime.MemProfileRate is 0"
_LEFT_OUT = (
    "Go's linker left its heap profile out: nothing in the program calls runtime.MemProfile, as "
    "net/http/pprof does"
)
_PARTLY = f"only a part of its heap profile was read: the newest {MAX_BUCKETS} call stacks"


def heap_functions(
    root: Path, processes: Iterable[tuple[GoProcess, GoMemory | None]]
) -> dict[int, GoHeapFunctions]:
    """Who holds the heap of each process, by pid, or why it is not known."""
    names = CodeNames(root, MAX_NAME_BYTES)
    try:
        return {one.pid: _of(root, names, one, memory) for one, memory in processes}
    finally:
        names.close()


def _of(
    root: Path, names: CodeNames, process: GoProcess, memory: GoMemory | None
) -> GoHeapFunctions:
    if memory is None:
        return GoHeapFunctions(reason=process.reason or _ENDED)
    found = _read(root, names, process, memory)
    # Looked at last: until here the pid was that of this program, and so are the names.
    return GoHeapFunctions(reason=_ENDED) if memory.ended() else found


def _read(root: Path, names: CodeNames, process: GoProcess, memory: GoMemory) -> GoHeapFunctions:
    try:
        profile = memory.heap_profile()
    except SwitchedOffError:
        return GoHeapFunctions(reason=_LEFT_OUT if _left_out(root, process.pid) else _OFF)
    except Refusal as refusal:
        return GoHeapFunctions(reason=refusal.reason)
    return _named(profile, names, (process.pid, process.start, None))


def _named(profile: HeapProfile, names: CodeNames, process: Process) -> GoHeapFunctions:
    """The largest stacks by their functions; the frames are those of the largest of each."""
    rows: dict[str | None, HeapFunction] = {}
    for held in nlargest(NAMED, profile.held, key=attrgetter("size")):
        frames = _frames(names.frames(process, held.stack))
        function = briefly(frames) or next(map(short, filter(None, frames)), None)
        known = rows.get(function, HeapFunction(function, frames[:FRAMES], 0, 0))
        rows[function] = known._replace(
            bytes=known.bytes + held.size, objects=known.objects + held.objects
        )
    total = sum(held.size for held in profile.held)
    ordered = sorted(rows.values(), key=attrgetter("bytes"), reverse=True)
    reason = "" if profile.complete else _PARTLY
    return GoHeapFunctions(tuple(ordered), total - sum(row.bytes for row in ordered), reason)


def _frames(names: Sequence[str]) -> tuple[str, ...]:
    """From who asked for memory on, as pprof has it: since Go 1.26 the allocator stands before.

    Each function once in a row: calls that were inlined carry the name of their caller.
    """
    once = tuple(name for name, _ in groupby(names))
    return tuple(dropwhile(lambda name: name.startswith(_RUNTIME), once)) or once


def _left_out(root: Path, pid: int) -> bool:
    try:
        fd = os.open(root / f"proc/{pid}/exe", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return left_out(Elf(fd))
    except (Refusal, OSError):
        return False
    finally:
        os.close(fd)
