"""Collections by cgroup, ended processes included."""

from __future__ import annotations

import pytest

from memtrace.collect.go_collected import Collected
from memtrace.kernel import wire
from memtrace.samples import PAUSE_BOUNDS
from tests.unit.collect.test_go_cycles import TIMES, decoded


def test_each_collection_has_two_pauses() -> None:
    """Counted by the bound they do not exceed; 1 ms is one, 0.5 ms another."""
    collected = Collected()
    collected.count([decoded(*TIMES)] * 3)
    made = collected.of(3)
    assert made is not None
    counts = dict(zip(PAUSE_BOUNDS, made.pauses, strict=False))
    assert (counts[1e-3], counts[5e-4], sum(made.pauses)) == (3, 3, 6)
    assert made.cycles == 3
    assert made.pause_seconds == pytest.approx(3 * 0.0015)


def test_a_time_that_was_unknown_once_stays_so() -> None:
    """The runtime's CPU times are not known of every Go."""
    collected = Collected()
    collected.count([decoded(*[wire.UNTOLD] * 4), decoded(*TIMES)])
    made = collected.of(3)
    assert made is not None
    assert (made.cycles, made.cpu_seconds) == (2, None)


def test_a_cgroup_that_is_gone_is_forgotten() -> None:
    """And one that nothing was told of is unknown."""
    collected = Collected()
    collected.count([decoded(*TIMES)])
    collected.forget(3)
    assert collected.of(3) is None
