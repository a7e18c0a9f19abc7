"""Go processes of a post-mortem."""

from __future__ import annotations

from dataclasses import replace

from memtrace.kills import NOT_CURRENT, READ, GoMemory
from memtrace.model.modeler import Modeler
from memtrace.model.oom_go import rows_at_kill
from memtrace.model.shapes import Container
from tests.unit.model.builders import MIB, cgroup, sample
from tests.unit.model.kill_events import MONOTONIC, WEB, event, task
from tests.unit.model.test_go import HEAP, process

AT_KILL = HEAP._replace(heap_live_bytes=120 * MIB, gomaxprocs=None, gc_cycles=None)


def sampled(*pids: int) -> Container:
    """The container as the last sample had it."""
    known = HEAP._replace(gc_cycles=9)
    home = replace(cgroup(WEB), go=tuple(process(pid, known) for pid in pids))
    return Modeler().snapshot(sample(home)).containers[0]


def test_a_victim_is_as_it_was_at_the_kill() -> None:
    """What the block does not tell is from the last sample; others have their age."""
    victim = replace(task(42), go=GoMemory(READ, b"", AT_KILL))
    rows = rows_at_kill(event(victims=(victim,)), sampled(42, 43), MONOTONIC - 0.6)
    assert rows is not None
    first, second = sorted(rows, key=lambda row: row.process.pid)
    assert first.process.heap == AT_KILL._replace(gomaxprocs=HEAP.gomaxprocs, gc_cycles=9)
    assert (first.process.age_seconds, second.process.age_seconds) == (0.0, 0.6)
    assert second.process.heap == HEAP._replace(gc_cycles=9)


def test_a_victim_that_could_not_be_read_is_as_sampled() -> None:
    """Another process ran into the limit."""
    victim = replace(task(42), go=GoMemory(NOT_CURRENT))
    rows = rows_at_kill(event(victims=(victim,)), sampled(42), MONOTONIC - 0.6)
    assert rows is not None
    assert rows[0].process.age_seconds == 0.6


def test_nobody_looked_is_unknown() -> None:
    """Without a sample, or with one that did not look."""
    assert rows_at_kill(event(), None, None) is None
    alone = Modeler().snapshot(sample(cgroup(WEB))).containers[0]
    assert rows_at_kill(event(), alone, 1.0) is None
