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
_MAX_SIZE = 1 << 47
_MAX_GOGC = 1_000_000
_MIB = 1 << 20
_HEAP_MINIMA = (4 * _MIB, 512 << 10)  # the latter: GOEXPERIMENT=heapminimum512kib

KNOWN = frozenset((19, *range(21, 28)))  # minor versions whose offsets were compared with DWARF
_OLDEST = 19

# name in gcControllerState -> offset in Go 1.21 to 1.27. In 1.19 those from 72 on are 32 higher:
# before them were the 64 bytes of consMarkController, since then the 32 of lastConsMark.
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


class _Raw(NamedTuple):
    """The fields of OFFSETS in their order, by the runtime's names."""

    gcPercent: int
    memoryLimit: int
    heapMinimum: int
    gcPercentHeapGoal: int
    sweepDistMinTrigger: int
    triggered: int
    lastHeapGoal: int
    heapLive: int
    lastStackScan: int
    globalsScan: int
    heapMarked: int
    assistTime: int
    dedicatedMarkTime: int
    fractionalMarkTime: int
    idleMarkTime: int
    markStartTime: int
    heapInUse: int
    heapReleased: int
    heapFree: int
    totalAlloc: int
    totalFree: int
    mappedReady: int


def offset_of(name: str, minor: int) -> int:
    """Where a field of gcControllerState is in Go 1.`minor`."""
    offset = OFFSETS[name]
    return offset + _MOVED_BY if minor <= _OLDEST and offset >= _MOVED_FROM else offset


def _layout(minor: int) -> Struct:
    """All fields at once, which takes a fifth of the time of one after the other."""
    code, end = "<", 0
    for name in OFFSETS:
        offset = offset_of(name, minor)
        kind, size = ("i", 4) if name == "gcPercent" else ("Q", 8)
        code += f"{offset - end}x{kind}"
        end = offset + size
    return Struct(code)


_LAYOUT, _LAYOUT_OF_OLDEST = _layout(_OLDEST + 1), _layout(_OLDEST)


def decode(block: bytes, minor: int) -> GcState | None:
    """What BLOCK_BYTES of gcController say; None where they make no sense, or not yet.

    `minor` is 25 of go1.25.5. Of versions that nobody has looked at, 1.20 and those after the
    last of KNOWN, the latest layout is tried: another layout fails the checks.
    """
    if len(block) < BLOCK_BYTES or minor < _OLDEST:
        return None
    layout = _LAYOUT_OF_OLDEST if minor == _OLDEST else _LAYOUT
    raw = _Raw._make(layout.unpack_from(block))
    if not _plausible(raw):
        return None
    return GcState(
        None if raw.gcPercent < 0 else raw.gcPercent,
        None if raw.memoryLimit == _NO_LIMIT else raw.memoryLimit,
        raw.heapLive,
        raw.heapMarked,
        _heap_goal(raw, minor),
        raw.heapInUse,
        raw.heapFree + raw.heapReleased,
        raw.heapReleased,
        raw.mappedReady,
        raw.totalAlloc,
        raw.totalFree,
        None if raw.triggered == _U64_MAX else raw.triggered,
        raw.lastHeapGoal,
        raw.lastStackScan,
        raw.globalsScan,
        raw.assistTime,
        raw.dedicatedMarkTime,
        raw.fractionalMarkTime,
        raw.idleMarkTime,
        raw.markStartTime,
    )


def _plausible(raw: _Raw) -> bool:
    """Sizes that fit an address space; and heapMinimum follows from gcPercent in every version.

    Off is -1, and the runtime multiplies it as if it were unsigned.
    """
    return (
        -1 <= raw.gcPercent <= _MAX_GOGC
        and raw.heapMinimum in [_minimum(each, raw.gcPercent) for each in _HEAP_MINIMA]
        and raw.memoryLimit <= _NO_LIMIT
        and 0 < raw.heapLive <= 2 * raw.mappedReady
        and raw.totalFree <= raw.totalAlloc
        and raw.heapMarked < _MAX_SIZE
        and raw.heapInUse < _MAX_SIZE
        and raw.heapReleased < _MAX_SIZE
        and raw.heapFree < _MAX_SIZE
        and raw.mappedReady < _MAX_SIZE
    )


def _minimum(default: int, gogc: int) -> int:
    return (default * (gogc & _U64_MAX) & _U64_MAX) // 100


def _heap_goal(raw: _Raw, minor: int) -> int:
    """As gcControllerState.heapGoalInternal says it."""
    goal, limited = raw.gcPercentHeapGoal, _goal_under_limit(raw, minor)
    if limited < goal:
        return limited
    goal = max(goal, raw.sweepDistMinTrigger)
    if raw.triggered != _U64_MAX:
        goal = max(goal, raw.triggered + (64 << 10))
    return goal


def _goal_under_limit(raw: _Raw, minor: int) -> int:
    """As gcControllerState.memoryLimitHeapGoal says it."""
    limit, ready = raw.memoryLimit, raw.mappedReady
    other = ready - raw.heapFree - (raw.totalAlloc - raw.totalFree)
    taken = max(other, 0) + max(ready - limit, 0)
    if taken >= limit:
        return raw.heapMarked
    goal = limit - taken
    headroom = _MIB if minor <= _OLDEST else max(goal // 100 * 3, _MIB)
    goal = headroom if goal < 2 * headroom else goal - headroom
    return max(goal, raw.heapMarked)
