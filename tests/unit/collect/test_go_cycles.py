"""Records of garbage collections: decoded figures, and what follows from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.collect.go_cycles import GoCycle, decode
from memtrace.kernel import wire

PROCESS = wire.PROCESS.pack(7, 9)
TIMES = (30, 40, 20, 500)
MS = 1_000_000


def record(*times: int, trigger: int = 0, marked: int = 4096) -> memoryview:
    """A collection of 10 ms on 4 processors that stopped the world for 1 and 0.5 ms."""
    moments = (1000 * MS, 1010 * MS, 1 * MS, MS // 2)
    packed = wire.GO_CYCLE.pack(PROCESS, 3, *moments, marked, *times, 0xC000, trigger, 4, 5)
    return memoryview(packed)


def decoded(*times: int, trigger: int = 0, marked: int = 4096) -> GoCycle:
    """The same, decoded."""
    cycle = decode(record(*times, trigger=trigger, marked=marked))
    assert cycle is not None
    return cycle


def test_a_collection_is_told_whole() -> None:
    """Whose, how long, what was marked, and by whom."""
    cycle = decoded(*TIMES)
    assert (cycle.process, cycle.cgroup_id, cycle.binary) == (PROCESS, 3, 5)
    assert (cycle.wall_ns, cycle.first_pause_ns, cycle.last_pause_ns) == (10 * MS, MS, MS // 2)
    assert (cycle.assist_ns, cycle.dedicated_ns, cycle.fractional_ns, cycle.idle_ns) == TIMES
    assert (cycle.marked_bytes, cycle.procs, cycle.controller) == (4096, 4, 0xC000)


@pytest.mark.parametrize(
    ("number", "trigger"), [(0, "heap"), (1, "periodic"), (2, "forced"), (3, None)]
)
def test_why_it_began_has_a_name(number: int, trigger: str | None) -> None:
    """A number that Go does not have is not known."""
    assert decoded(*TIMES, trigger=number).trigger == trigger


def test_its_part_of_the_processors_counts_pauses_on_all_of_them() -> None:
    """10 ms on 4: of 40 ms 1.5 x 4 stood still, and 6 + 10 + 2 were marking; idle time is free."""
    assert decoded(6 * MS, 10 * MS, 2 * MS, 9 * MS).cpu_fraction == pytest.approx(24 / 40)


def test_what_is_not_known_stays_so() -> None:
    """Without the runtime's times there is no part of the processors, and 0 is nowhere."""
    cycle = decoded(*[wire.UNTOLD] * 4, marked=wire.UNTOLD)
    assert (cycle.assist_ns, cycle.idle_ns, cycle.marked_bytes, cycle.cpu_fraction) == (None,) * 4


@given(st.binary(max_size=200))
def test_any_bytes_are_a_collection_or_none(data: bytes) -> None:
    """The figures come from memory of a program that may hold anything."""
    cycle = decode(memoryview(data))
    assert (cycle is None) == (len(data) < wire.GO_CYCLE.size)
    if cycle is not None and cycle.cpu_fraction is not None:
        assert cycle.cpu_fraction <= 1
