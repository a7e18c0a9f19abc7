"""The Go processes of the cgroup that was out of memory: at the kill where read, else before it."""

from __future__ import annotations

from dataclasses import replace

from memtrace.kills import READ, OomEvent, OomTask
from memtrace.model.go_remarks import remarks
from memtrace.model.go_shapes import GoRow
from memtrace.model.shapes import Container
from memtrace.samples import GoHeap


def rows_at_kill(
    event: OomEvent, sampled: Container | None, sampled_at: float | None
) -> tuple[GoRow, ...] | None:
    """Return the processes of the last sample, with what victims knew at the kill.

    `sampled_at`: monotonic seconds of that sample. None: nobody looked for Go processes.
    """
    if sampled is None or sampled.go is None or sampled_at is None:
        return None
    age = max(0.0, event.monotonic - sampled_at)
    victims = {victim.tgid: victim for victim in event.victims}
    return tuple(_row(row, victims.get(row.process.pid), age) for row in sampled.go.rows)


def _row(row: GoRow, victim: OomTask | None, age: float) -> GoRow:
    known = row.process.heap
    at_kill = _heap(victim)
    if at_kill is not None:
        heap = at_kill._replace(
            gomaxprocs=known.gomaxprocs if known else None,
            gc_cycles=known.gc_cycles if known else None,
        )
        process = replace(row.process, heap=heap, age_seconds=0.0)
    else:
        process = replace(row.process, age_seconds=round(row.process.age_seconds + age, 3))
    return row._replace(process=process, remarks=remarks(process, row.beside))


def _heap(victim: OomTask | None) -> GoHeap | None:
    if victim is None or victim.go is None or victim.go.state != READ:
        return None
    return victim.go.heap
