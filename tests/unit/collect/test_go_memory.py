"""Reading a Go runtime's figures out of a file that stands for a process' memory."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from memtrace.collect.go_memory import EndedError, GoMemory
from memtrace.golang.binary import GoBinary
from memtrace.golang.buildinfo import BuildInfo
from memtrace.golang.gccontroller import Places
from memtrace.golang.gcstate import BLOCK_BYTES, OFFSETS
from memtrace.golang.heap_profile import ProfilePlaces
from memtrace.golang.refusal import Refusal, State

CONTROLLER, PROCS, CYCLES = 0x2000, 0x3000, 0x3010
BUCKETS, RATE = 0x3020, 0x3028
BASE, MAPPED = 0x1000, 0x400
MIB = 1 << 20
FIGURES = {
    "memoryLimit": (1 << 63) - 1,
    "heapMinimum": 4 * MIB,
    "heapLive": 30 * MIB,
    "heapMarked": 20 * MIB,
    "gcPercentHeapGoal": 40 * MIB,
    "triggered": (1 << 64) - 1,
    "heapInUse": 31 * MIB,
    "heapReleased": 2 * MIB,
    "heapFree": 3 * MIB,
    "totalAlloc": 500 * MIB,
    "totalFree": 470 * MIB,
    "mappedReady": 40 * MIB,
}


def program(cycles: int | None = CYCLES) -> GoBinary:
    """A binary whose places are known."""
    build = BuildInfo("go1.25.5", 25, "example.org/app", {}, {})
    places = Places(CONTROLLER, PROCS, cycles)
    profile = ProfilePlaces(BUCKETS, RATE)
    return GoBinary(State.GO, build=build, base=BASE, places=places, profile=profile)


class Process:
    """A file as the memory of process 7, `MAPPED - BASE` away from link-time addresses."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "proc/7").mkdir(parents=True)
        self.set(FIGURES, 100)
        self.put(PROCS, struct.pack("<i", 4))
        self.put(CYCLES, struct.pack("<i", 9))

    def set(self, figures: dict[str, int], gogc: int) -> None:
        """What the runtime holds."""
        block = bytearray(BLOCK_BYTES)
        for name, value in figures.items():
            struct.pack_into("<Q", block, OFFSETS[name], value)
        struct.pack_into("<i", block, 0, gogc)
        self.put(CONTROLLER, bytes(block))

    def put(self, address: int, data: bytes) -> None:
        """Write into its memory."""
        path = self.root / "proc/7/mem"
        content = bytearray(path.read_bytes() if path.exists() else bytes(0x4000))
        start = address - BASE + MAPPED
        content[start : start + len(data)] = data
        path.write_bytes(content)

    def open(self, **places: int | None) -> GoMemory:
        """memtrace begins to look."""
        fd = os.open(self.root / "proc/7/mem", os.O_RDONLY)
        return GoMemory(fd, program(**places), MAPPED)


@pytest.fixture
def process(tmp_path: Path) -> Process:
    """One process."""
    return Process(tmp_path)


def test_figures_have_the_runtime_s_meaning(process: Process) -> None:
    """Idle spans include those released; no memory limit is none."""
    heap = process.open().read()
    assert heap is not None
    assert (heap.gogc, heap.gomemlimit_bytes, heap.gomaxprocs) == (100, None, 4)
    assert (heap.heap_live_bytes, heap.heap_in_use_bytes) == (30 * MIB, 31 * MIB)
    assert (heap.heap_idle_bytes, heap.heap_released_bytes) == (5 * MIB, 2 * MIB)
    assert (heap.heap_goal_bytes, heap.mapped_bytes) == (40 * MIB, 40 * MIB)
    assert (heap.allocated_bytes, heap.gc_cycles) == (500 * MIB, 9)


def test_what_did_not_move_is_the_same_object(process: Process) -> None:
    """So nobody has to compare it."""
    memory = process.open()
    assert memory.read() is memory.read()
    process.set({**FIGURES, "heapLive": 35 * MIB}, 100)
    heap = memory.read()
    assert heap is not None
    assert heap.heap_live_bytes == 35 * MIB


def test_gomaxprocs_is_looked_at_now_and_then(process: Process) -> None:
    """Also while the heap stands still: within eight readings."""
    memory = process.open()
    memory.read()
    process.put(PROCS, struct.pack("<i", 2))
    last = [memory.read() for _ in range(8)][-1]
    assert last is not None
    assert last.gomaxprocs == 2


def test_off_is_minus_one(process: Process) -> None:
    """As debug.SetGCPercent has it."""
    minimum = 4 * MIB * ((1 << 64) - 1) % (1 << 64) // 100
    process.set({**FIGURES, "heapMinimum": minimum}, -1)
    heap = process.open().read()
    assert heap is not None
    assert heap.gogc == -1


def test_nonsense_is_unknown(process: Process) -> None:
    """Another layout, or a runtime that has not begun."""
    process.set({}, 0)
    assert process.open().read() is None
    process.set(FIGURES, 100)
    process.put(PROCS, struct.pack("<i", -5))
    heap = process.open(cycles=None).read()
    assert heap is not None
    assert heap.gomaxprocs is heap.gc_cycles is None


def test_an_ended_process_is_told(process: Process) -> None:
    """Its memory reads as nothing."""
    memory = process.open()
    (process.root / "proc/7/mem").write_bytes(b"")
    with pytest.raises(EndedError):
        memory.read()
    memory.close()
    memory.close()


def test_the_heap_profile_is_where_the_program_was_mapped(process: Process) -> None:
    """Its variables are; buckets are wherever they were allocated."""
    header = struct.pack("<6Q", 0, 0, 1, 0, 1 << 30, 1)
    process.put(BUCKETS, struct.pack("<QQ", 0x3100, 512 << 10))
    process.put(0x3100 + BASE - MAPPED, header + struct.pack("<17Q", 0x1234, 3, 1, *[0] * 14))
    profile = process.open().heap_profile()
    assert profile.held == (((0x1234,), 2, 2 << 30),)
    process.put(BUCKETS, struct.pack("<Q", 0x7000_0000))
    with pytest.raises(Refusal, match="leads nowhere"):
        process.open().heap_profile()


def test_an_ended_process_has_no_heap_profile(process: Process) -> None:
    """It is told apart from a profile that makes no sense."""
    memory = process.open()
    assert not memory.ended()
    (process.root / "proc/7/mem").write_bytes(b"")
    with pytest.raises(Refusal):
        memory.heap_profile()
    assert memory.ended()
    memory.close()
    assert memory.ended()
