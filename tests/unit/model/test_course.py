"""How a cgroup went: its series, and what counts as growth."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from memtrace.model.course import course, growth
from memtrace.samples import GoCycles
from tests.unit.model.builders import MIB, cgroup
from tests.unit.model.judged import at, heap, memory, one, process


def series(*levels: int) -> tuple[tuple[float, int], ...]:
    """A level each second."""
    return tuple((float(n), level) for n, level in enumerate(levels))


def test_growth_in_spite_of_a_sawtooth() -> None:
    """The lowest of the last third is above the highest of the first."""
    found = growth(series(10, 20, 12, 22, 14, 24, 26, 30, 28, 36))
    assert found is not None
    assert (found.bytes, found.seconds, found.before_bytes, found.after_bytes) == (26, 9.0, 10, 36)
    assert growth(series(10, 20, 10, 20, 10, 20, 10, 20, 10, 21)) is None


def test_a_step_that_is_over_is_no_growth() -> None:
    """A program that has started."""
    assert growth(series(10, 10, 10, 80, 90, 100, 100, 100, 100)) is None


def test_few_points_tell_nothing() -> None:
    """Two in each third."""
    assert growth(series(1, 2, 3, 4, 5)) is None
    assert growth(series(1, 2, 3, 4, 5, 6)) is not None
    assert growth(()) is None


@given(st.lists(st.integers(0, 2**50), max_size=40))
def test_growth_is_what_it_says(levels: list[int]) -> None:
    """Positive, from the first to the last."""
    found = growth(series(*levels))
    if found is not None:
        assert found.bytes == levels[-1] - levels[0] > 0
        assert found.seconds_until(found.bytes) > 0


def test_go_is_counted_wherever_it_is_below() -> None:
    """Of a pod: its containers' processes; what they have mapped is none of the other memory."""
    samples = []
    for second in range(6):
        gc = GoCycles(second, cpu_seconds=0.5 * second, marked_bytes=(10 + second) * MIB)
        below = replace(one(memory(90), process(heap(20, mapped=40), gc)), path="/pod/app")
        pod = cgroup(5, 1, "/pod", memory=memory(100 + second))
        beside = replace(one(memory(50), process(heap(20), pid=9)), path="/podium", cgroup_id=9)
        sample = at(second, below)
        samples.append(replace(sample, cgroups=(*sample.cgroups, pod, beside)))
    found = course(samples, "/pod")
    assert found.seconds == 5.0
    assert [amount // MIB for _, amount in found.other] == [60, 61, 62, 63, 64, 65]
    assert dict(found.live) == {
        (7, 1): tuple((float(n), (10 + n) * MIB) for n in range(6)),
    }
    assert found.gc_cpu[7, 1] == 0.5
