"""What gcController's bytes say, and that other bytes say nothing."""

from __future__ import annotations

from struct import pack_into

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.golang import gcstate
from memtrace.golang.gcstate import BLOCK_BYTES, KNOWN, OFFSETS, decode, offset_of

MIB = 1 << 20
NO_LIMIT = (1 << 63) - 1
NEVER = (1 << 64) - 1
SOUND = {
    "memoryLimit": NO_LIMIT,
    "heapMinimum": 4 * MIB,
    "gcPercentHeapGoal": 80 * MIB,
    "sweepDistMinTrigger": 41 * MIB,
    "triggered": 70 * MIB,
    "lastHeapGoal": 75 * MIB,
    "heapLive": 45 * MIB,
    "heapMarked": 40 * MIB,
    "heapInUse": 50 * MIB,
    "heapReleased": 7 * MIB,
    "heapFree": 3 * MIB,
    "totalAlloc": 100 * MIB,
    "totalFree": 54 * MIB,
    "mappedReady": 60 * MIB,
}


def block(minor: int = 25, gogc: int = 100, **changed: int) -> bytes:
    """A gcController of that version."""
    data = bytearray(BLOCK_BYTES)
    for name, value in (SOUND | changed).items():
        pack_into("<Q", data, offset_of(name, minor), value)
    pack_into("<i", data, 0, gogc)
    return bytes(data)


@pytest.mark.parametrize("minor", [*sorted(KNOWN), 20, 28, 40])
def test_figures_are_those_of_the_version(minor: int) -> None:
    """1.19 has most of them elsewhere; unknown ones are believed while they make sense."""
    state = decode(block(minor), minor)
    assert state is not None
    assert (state.gogc, state.memory_limit) == (100, None)
    assert (state.heap_live, state.heap_marked, state.heap_in_use) == (45 * MIB, 40 * MIB, 50 * MIB)
    assert (state.heap_idle, state.heap_released) == (10 * MIB, 7 * MIB)
    assert (state.mapped_ready, state.heap_goal) == (60 * MIB, 80 * MIB)
    assert (state.total_allocated, state.total_freed) == (100 * MIB, 54 * MIB)
    assert (state.triggered, state.last_goal) == (70 * MIB, 75 * MIB)


def test_what_is_switched_off_is_none() -> None:
    """GOGC=off is -1, of which the runtime computes a minimum as if it were a large number."""
    minimum = 4 * MIB * NEVER % (1 << 64) // 100
    state = decode(block(gogc=-1, heapMinimum=minimum, triggered=NEVER), 25)
    assert state is not None
    assert (state.gogc, state.triggered) == (None, None)


@pytest.mark.parametrize(
    ("changed", "goal"),
    [
        ({"triggered": 90 * MIB}, 90 * MIB + 65536),  # started late: at least that much more
        ({"sweepDistMinTrigger": 81 * MIB}, 81 * MIB),
        # 60 ready less 3 free less 46 allocated are 11 of something else, and 3 % are kept
        ({"memoryLimit": 70 * MIB}, 59 * MIB - 59 * MIB // 100 * 3),
        ({"memoryLimit": 55 * MIB}, 40 * MIB),  # not below what was live
        ({"memoryLimit": 8 * MIB}, 40 * MIB),  # the limit does not hold the rest
    ],
)
def test_the_goal_is_computed_as_the_runtime_does(changed: dict[str, int], goal: int) -> None:
    """As in gcControllerState.heapGoalInternal."""
    state = decode(block(**changed), 25)
    assert state is not None
    assert state.heap_goal == goal


def test_1_19_keeps_one_mebibyte_from_the_limit() -> None:
    """Later ones 3 %."""
    state = decode(block(19, memoryLimit=70 * MIB), 19)
    assert state is not None
    assert state.heap_goal == 58 * MIB


@pytest.mark.parametrize(
    "changed",
    [
        {"heapLive": 0},  # before the runtime is set up
        {"heapLive": 121 * MIB},
        {"heapMinimum": 4 * MIB + 1},
        {"gogc": 50},
        {"gogc": -2},
        {"gogc": 1_000_001, "heapMinimum": 4 * MIB * 1_000_001 // 100},
        {"memoryLimit": NO_LIMIT + 1},
        {"totalFree": 101 * MIB},
        {"heapInUse": 1 << 47},
        {"mappedReady": 1 << 60},
    ],
)
def test_what_makes_no_sense_is_unknown(changed: dict[str, int]) -> None:
    """One figure that cannot be, and none is believed."""
    assert decode(block(**changed), 25) is None


def test_another_layout_is_unknown() -> None:
    """1.19 read as 1.25 and the other way round, a short block, a version before."""
    assert decode(block(19), 25) is None
    assert decode(block(25), 19) is None
    assert decode(block()[:-1], 25) is None
    assert decode(block(18), 18) is None


@given(st.binary(min_size=BLOCK_BYTES, max_size=BLOCK_BYTES), st.integers(0, 60))
def test_no_bytes_raise(data: bytes, minor: int) -> None:
    """Random bytes are nothing."""
    assert decode(data, minor) is None


@given(st.sampled_from(sorted(OFFSETS)), st.integers(0, NEVER))
def test_no_figure_raises(name: str, value: int) -> None:
    """A state is unknown, or within what a process can have."""
    data = bytearray(block())
    pack_into("<Q", data, offset_of(name, 25), value)
    state = decode(bytes(data), 25)
    assert state is None or state.heap_in_use + state.heap_idle < 1 << 49


def test_fields_are_read_in_the_table_s_order() -> None:
    """By offset, each once."""
    assert gcstate._Raw._fields == tuple(OFFSETS)
    assert sorted(OFFSETS.values()) == list(OFFSETS.values())
