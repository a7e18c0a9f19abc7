"""What the memory of a cgroup consisted of when it was out of memory.

The kernel's own figures at the kill, where the probe could read them and they add up to the
usage: the kernel brings them up to date for its report, which it leaves out after ten kills in
five seconds. What is missing comes from no other moment.
"""

from __future__ import annotations

from collections.abc import Mapping

from memtrace.kills import OomEvent, OomLevel
from memtrace.model.oom_history import Background
from memtrace.model.oom_shapes import Composition
from memtrace.model.verdict.case import lag_bound
from memtrace.samples import Memory

MAIN = 0.5
_BEHIND = 1 / 16
"""Of the usage: what the figures may lack and still tell what the memory was."""


def level_of(event: OomEvent, cgroup_id: int | None) -> OomLevel | None:
    """The figures of one of the victim's cgroups at the kill."""
    return next((level for level in event.levels if level.cgroup_id == cgroup_id), None)


def composition(event: OomEvent, cgroup_id: int | None, before: Background) -> Composition:
    """As the kernel held it, else what the victims had if that was most, else the last sample."""
    level, told = level_of(event, cgroup_id), event.memory
    usage = level.usage_bytes if level else None
    if told is not None and level is not None and "anon" in told and "file" in told:
        made = _at_the_kill(told, level)
        if _adds_up(made, before):
            return made
    if usage is not None and level is not None and cgroup_id == event.cgroup_id:
        anon = sum(victim.anon_bytes or 0 for victim in event.victims)
        if anon >= MAIN * usage:
            return _of_victims(min(anon, usage), usage, level)
    found = before.latest(cgroup_id) if cgroup_id else None
    if found is None or found.memory is None:
        return Composition("unknown", None, usage)
    return _at_sample(found.memory, max(0.0, event.monotonic - before.samples[-1].monotonic))


def _adds_up(made: Composition, before: Background) -> bool:
    bound = lag_bound(before.samples[-1]) if before.samples else 0
    return abs(made.unexplained_bytes or 0) <= max(bound, _BEHIND * (made.usage_bytes or 0))


def _of_victims(anon: int, usage: int, level: OomLevel) -> Composition:
    """At least this much of their own memory; the rest is not known."""
    return Composition(
        "victims",
        0.0,
        usage,
        anon_bytes=anon,
        kernel_bytes=level.kernel_bytes or None,
        unexplained_bytes=usage - anon - (level.kernel_bytes or 0),
    )


def _at_the_kill(told: Mapping[str, int], level: OomLevel) -> Composition:
    kernel = told.get("kernel", level.kernel_bytes or None)
    made = Composition(
        "kernel",
        0.0,
        level.usage_bytes,
        anon_bytes=told["anon"],
        file_bytes=told["file"],
        dirty_bytes=told.get("file_dirty"),
        writeback_bytes=told.get("file_writeback"),
        shmem_bytes=told.get("shmem"),
        kernel_bytes=kernel,
        slab_bytes=_sum(told.get("slab_reclaimable"), told.get("slab_unreclaimable")),
        slab_reclaimable_bytes=told.get("slab_reclaimable"),
        kernel_stack_bytes=told.get("kernel_stack"),
        page_table_bytes=told.get("pagetables"),
        percpu_bytes=told.get("percpu"),
        sock_bytes=told.get("sock"),
    )
    return _completed(made)


def _at_sample(memory: Memory, age: float) -> Composition:
    made = Composition(
        "sample",
        round(age, 3),
        memory.usage_bytes,
        anon_bytes=memory.anon_bytes,
        file_bytes=memory.file_bytes,
        dirty_bytes=memory.dirty_bytes,
        writeback_bytes=memory.writeback_bytes,
        shmem_bytes=memory.shmem_bytes,
        kernel_bytes=memory.kernel_bytes,
        slab_bytes=memory.slab_bytes,
        slab_reclaimable_bytes=memory.slab_reclaimable_bytes,
        kernel_stack_bytes=memory.kernel_stack_bytes,
        page_table_bytes=memory.page_table_bytes,
        percpu_bytes=memory.percpu_bytes,
        sock_bytes=memory.sock_bytes,
        swap_bytes=memory.swap_bytes,
    )
    return _completed(made)


def _completed(made: Composition) -> Composition:
    """With what follows: clean cache, and what is in none of the figures (signed)."""
    clean = None
    if made.file_bytes is not None:
        rest = (made.shmem_bytes, made.dirty_bytes, made.writeback_bytes)
        clean = max(0, made.file_bytes - sum(part or 0 for part in rest))
    parts = (made.anon_bytes, made.file_bytes, made.kernel_bytes)
    unexplained = None
    if made.usage_bytes is not None and made.anon_bytes is not None:
        known = sum(part or 0 for part in (*parts, made.sock_bytes))
        unexplained = made.usage_bytes - known
    return made._replace(clean_bytes=clean, unexplained_bytes=unexplained)


def _sum(*parts: int | None) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
