"""What explain makes of a number of samples."""

from __future__ import annotations

from memtrace.model.observation import observe
from memtrace.samples import GoCycles
from tests.unit.model.builders import MIB, cgroup, sample
from tests.unit.model.judged import at, heap, memory, one, process


def test_changes_count_from_when_all_was_known() -> None:
    """Go processes are found a second or two after the start: rates begin there."""
    samples = [at(float(n), one(memory(100))) for n in range(2)]
    for n in range(2, 11):
        made = heap(50, mapped=90)._replace(gc_cycles=n, allocated_bytes=n * MIB)
        samples.append(at(float(n), one(memory(100), process(made, GoCycles(n)))))
    seen = observe(samples, 2)
    assert seen is not None
    assert seen.seconds == 8.0
    assert seen.container.go is not None
    assert seen.container.go.rows[0].gc_cycles_delta == 8


def test_a_process_that_came_late_does_not_shorten_the_look() -> None:
    """Half of the time is the least."""
    samples = [at(float(n), one(memory(100))) for n in range(8)]
    samples.append(at(8.0, one(memory(100), process(heap(50)))))
    seen = observe(samples, 2)
    assert seen is not None
    assert seen.seconds == 8.0


def test_one_sample_is_better_than_none() -> None:
    """Without any change."""
    seen = observe([at(0.0, one(memory(10)))], 2)
    assert seen is not None
    assert (seen.seconds, seen.container.usage_delta_bytes) == (0.0, None)


def test_what_is_gone_cannot_be_explained() -> None:
    """The last sample does not have it."""
    assert observe([at(0.0, one(memory(10))), sample(cgroup(1, path="/"))], 2) is None
