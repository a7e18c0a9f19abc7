"""When allocations are watched: after two samples of growth until a while without, or on demand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.collect.arming import MIB, QUIET_SECONDS, Arming

EVERY = 2.0  # seconds between samples


def stepped(*growths: int, every: float = EVERY) -> list[bool]:
    """What is decided at each of these samples, the first at second 1000."""
    arming = Arming()
    return [arming.step(1000 + every * number, growth) for number, growth in enumerate(growths)]


def test_growth_at_two_samples_in_a_row_arms() -> None:
    """One alone is the start of a program."""
    assert stepped(0, 8 * MIB, 0, 8 * MIB, 0) == [False] * 5
    assert stepped(0, 8 * MIB, 8 * MIB) == [False, False, True]


@pytest.mark.parametrize(
    ("growth", "every", "armed"),
    [
        (2 * MIB, 2.0, True),  # 1 MiB/s
        (2 * MIB - 1, 2.0, False),
        (4 * MIB, 60.0, True),  # 4 MiB a sample, however slow
        (4 * MIB - 1, 60.0, False),
        (MIB, 0.1, True),
        (MIB - 1, 0.1, False),  # what CPUs hold back comes at once: no growth by itself
    ],
)
def test_growth_is_a_mebibyte_a_second_or_four_a_sample(
    growth: int, every: float, armed: bool
) -> None:
    """Both bounds, and what is just below."""
    assert stepped(0, growth, growth, every=every)[-1] is armed


def test_it_ends_after_ten_quiet_seconds() -> None:
    """Quiet samples, from the last growth on; growth in between begins them anew."""
    grown = (0, 8 * MIB, 8 * MIB)
    still = int(QUIET_SECONDS / EVERY)
    decided = stepped(*grown, *[0] * still)
    assert decided[2:-1] == [True] * still
    assert decided[-1] is False
    again = stepped(*grown, *[0] * (still - 1), MIB, *[0] * (still - 1))
    assert again[-1] is True


def test_a_long_interval_alone_is_no_quiet_while() -> None:
    """Three looks at the least, however far apart they are."""
    decided = stepped(0, 8 * MIB, 8 * MIB, 0, 0, 0, every=30.0)
    assert decided == [False, False, True, True, True, False]


def test_a_little_growth_neither_arms_nor_disarms() -> None:
    """Between the two rates it stays as it is."""
    little = MIB  # half a MiB/s
    assert stepped(0, *[little] * 20) == [False] * 21
    assert stepped(0, 8 * MIB, 8 * MIB, *[little] * 20)[-1] is True


def test_memory_given_back_is_quiet() -> None:
    """Reclaim is no growth."""
    assert stepped(0, 8 * MIB, 8 * MIB, *[-MIB] * 10)[-1] is False


def test_a_request_arms_at_once_and_its_end_does_not_wait_for_growth() -> None:
    """Whoever asked gets it at the next sample; later the usual rules hold."""
    arming = Arming()
    arming.requested = True
    assert arming.step(1000, 0)
    assert all(arming.step(1000 + second, 0) for second in range(1, 60))
    arming.requested = False
    assert not arming.step(1060, 0)


@given(st.lists(st.tuples(st.floats(0.0, 100.0), st.integers(-(1 << 40), 1 << 40)), max_size=50))
def test_it_never_arms_without_two_samples_of_growth(steps: list[tuple[float, int]]) -> None:
    """Whatever comes: armed only after growth at this sample and the one before."""
    arming, now, before, was = Arming(), 0.0, 0, False
    for elapsed, growth in steps:
        now += elapsed
        armed = arming.step(now, growth)
        if armed and not was:
            assert growth >= MIB
            assert before >= MIB
        before, was = growth, armed
