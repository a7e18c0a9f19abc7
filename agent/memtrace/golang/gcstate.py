"""What the bytes of the runtime's gcController say, for each version of Go.

Decoded by a table of offsets that tools/go_offsets.py compares with the toolchains' DWARF, and
believed only while it makes sense. Reads no process.
Source: runtime/mgcpacer.go.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple


class GcState(NamedTuple):
    """The garbage collector's view, at one moment, in bytes and nanoseconds.

    The words are those of runtime.MemStats and runtime/metrics.
    """

    gogc: int | None  # percent; None: off
    memory_limit: int | None  # None: none
    heap_live: int  # marked in the last cycle and allocated since
    heap_marked: int  # live after the last cycle
    heap_goal: int  # the next collection aims at ending below this (NextGC)
    heap_in_use: int  # spans in use
    heap_idle: int  # spans without objects (HeapIdle), released ones included
    heap_released: int  # of these, given back to the system
    mapped_ready: int  # mapped by the runtime and ready to be used; touched or not
    total_allocated: int  # ever
    total_freed: int
    triggered: int | None  # heap_live when the last cycle started
    last_goal: int  # that cycle's goal
    stack_scan: int
    globals_scan: int
    assist_time: int  # of the running cycle, or the last
    dedicated_mark_time: int
    fractional_mark_time: int
    idle_mark_time: int
    mark_start_time: int  # the runtime's monotonic clock


BLOCK_BYTES = 352
_U64_MAX = (1 << 64) - 1
_NO_LIMIT = (1 << 63) - 1
_MAX_ADDRESS = 1 << 47
_MAX_GOGC = 1_000_000
_MIB = 1 << 20
_HEAP_MINIMA = (4 * _MIB, 512 << 10)  # the latter: GOEXPERIMENT=heapminimum512kib

KNOWN = frozenset((19, *range(21, 28)))  # minor versions whose offsets were compared with DWARF
_OLDEST = 19

# name in gcControllerState -> offset in Go 1.21 to 1.27; in 1.19 those from 72 on are 32 higher
# (lastConsMark and what was before it were of another size).
OFFSETS = {
    "gcPercent": 0,
    "memoryLimit": 8,
    "heapMinimum": 16,
    "gcPercentHeapGoal": 72,
    "sweepDistMinTrigger": 80,
    "triggered": 88,
    "lastHeapGoal": 96,
    "heapLive": 104,
    "lastStackScan": 128,
    "globalsScan": 144,
    "heapMarked": 152,
    "assistTime": 192,
    "dedicatedMarkTime": 200,
    "fractionalMarkTime": 208,
    "idleMarkTime": 216,
    "markStartTime": 224,
    "heapInUse": 272,
    "heapReleased": 280,
    "heapFree": 288,
    "totalAlloc": 296,
    "totalFree": 304,
    "mappedReady": 312,
}
_MOVED_FROM, _MOVED_BY = 72, 32
_NUMBER, _SMALL = Struct("<Q"), Struct("<i")


def offset_of(name: str, minor: int) -> int:
    """Where a field of gcControllerState is in Go 1.`minor`."""
    offset = OFFSETS[name]
    return offset + _MOVED_BY if minor <= _OLDEST and offset >= _MOVED_FROM else offset


def decode(block: bytes, minor: int) -> GcState | None:
    """What BLOCK_BYTES of gcController say; None where they make no sense, or not yet.

    `minor` is 25 of go1.25.5. Of versions that nobody has looked at, 1.20 and those after the
    last of KNOWN, the latest layout is tried: another layout fails the checks.
    """
    if len(block) < BLOCK_BYTES or minor < _OLDEST:
        return None
    raw = {name: _field(block, name, minor) for name in OFFSETS}
    gogc = _SMALL.unpack_from(block)[0]
    if not _plausible(raw, gogc):
        return None
    return GcState(
        gogc=None if gogc < 0 else gogc,
        memory_limit=None if raw["memoryLimit"] == _NO_LIMIT else raw["memoryLimit"],
        heap_live=raw["heapLive"],
        heap_marked=raw["heapMarked"],
        heap_goal=_heap_goal(raw, minor),
        heap_in_use=raw["heapInUse"],
        heap_idle=raw["heapFree"] + raw["heapReleased"],
        heap_released=raw["heapReleased"],
        mapped_ready=raw["mappedReady"],
        total_allocated=raw["totalAlloc"],
        total_freed=raw["totalFree"],
        triggered=None if raw["triggered"] == _U64_MAX else raw["triggered"],
        last_goal=raw["lastHeapGoal"],
        stack_scan=raw["lastStackScan"],
        globals_scan=raw["globalsScan"],
        assist_time=raw["assistTime"],
        dedicated_mark_time=raw["dedicatedMarkTime"],
        fractional_mark_time=raw["fractionalMarkTime"],
        idle_mark_time=raw["idleMarkTime"],
        mark_start_time=raw["markStartTime"],
    )


def _field(block: bytes, name: str, minor: int) -> int:
    return int(_NUMBER.unpack_from(block, offset_of(name, minor))[0])


def _plausible(raw: dict[str, int], gogc: int) -> bool:
    """Sizes that fit an address space; and heapMinimum follows from gcPercent in every version.

    Off is -1, and the runtime multiplies it as if it were unsigned.
    """
    sizes = ("heapMarked", "heapInUse", "heapReleased", "heapFree", "mappedReady")
    minima = {minimum * (gogc & _U64_MAX) % (1 << 64) // 100 for minimum in _HEAP_MINIMA}
    return (
        -1 <= gogc <= _MAX_GOGC
        and raw["heapMinimum"] in minima
        and raw["memoryLimit"] <= _NO_LIMIT
        and 0 < raw["heapLive"] <= 2 * raw["mappedReady"]
        and raw["totalFree"] <= raw["totalAlloc"]
        and all(raw[name] < _MAX_ADDRESS for name in sizes)
    )


def _heap_goal(raw: dict[str, int], minor: int) -> int:
    """As gcControllerState.heapGoalInternal says it."""
    goal, limited = raw["gcPercentHeapGoal"], _goal_under_limit(raw, minor)
    if limited < goal:
        return limited
    goal = max(goal, raw["sweepDistMinTrigger"])
    if raw["triggered"] != _U64_MAX:
        goal = max(goal, raw["triggered"] + (64 << 10))
    return goal


def _goal_under_limit(raw: dict[str, int], minor: int) -> int:
    """As gcControllerState.memoryLimitHeapGoal says it."""
    limit, ready = raw["memoryLimit"], raw["mappedReady"]
    other = ready - raw["heapFree"] - (raw["totalAlloc"] - raw["totalFree"])
    taken = max(other, 0) + max(ready - limit, 0)
    if taken >= limit:
        return raw["heapMarked"]
    goal = limit - taken
    headroom = _MIB if minor <= _OLDEST else max(goal // 100 * 3, _MIB)
    goal = headroom if goal < 2 * headroom else goal - headroom
    return max(goal, raw["heapMarked"])
