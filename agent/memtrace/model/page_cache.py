"""The ledger set against the kernel's figure, per cgroup, with what changed in the interval."""

from __future__ import annotations

from memtrace.model import deltas
from memtrace.model.memory import clean
from memtrace.model.shapes import PageCache
from memtrace.model.totals import Totals
from memtrace.samples import KINDS, REASONS, Memory

# A cgroup born since the previous sample was this.
NO_FLOW = Totals((0,) * len(KINDS), (0,) * len(REASONS), 0)
NO_MEMORY = Memory(
    usage_bytes=0, file_bytes=0, shmem_bytes=0, dirty_bytes=0, writeback_bytes=0, refaulted_bytes=0
)
_NO_DELTAS = (None,) * (len(PageCache._fields) // 2)


def compare(
    totals: Totals, memory: Memory | None, before: Totals | None, memory_before: Memory | None
) -> PageCache:
    """Return the page_cache figures. `before` None: no delta can be given.

    The ledger's own change is added - removed of the interval: known without a baseline,
    and not moved by a baseline that arrives or settles.
    """
    attributed = totals.attributed_bytes
    added, removed = sum(totals.added), sum(totals.removed)
    file = memory.file_bytes if memory is not None else None
    levels = (clean(memory), *_unclean(memory))
    refaulted = memory.refaulted_bytes if memory is not None else None
    unattributed = deltas.gauge(file, attributed)
    figures = (attributed, unattributed, totals.baseline_bytes, added, removed, *levels, refaulted)
    if before is None:
        return PageCache._make((*figures, *_NO_DELTAS))
    grown, shrunk = flow_deltas(totals, before)
    moved = deltas.gauge(grown, shrunk)
    file_before = memory_before.file_bytes if memory_before is not None else None
    refaulted_before = memory_before.refaulted_bytes if memory_before is not None else None
    levels_before = (clean(memory_before), *_unclean(memory_before))
    changes = (
        moved,
        deltas.gauge(deltas.gauge(file, file_before), moved),
        deltas.gauge(totals.baseline_bytes, before.baseline_bytes),
        grown,
        shrunk,
        *map(deltas.gauge, levels, levels_before),
        deltas.counter(refaulted, refaulted_before),
    )
    return PageCache._make((*figures, *changes))


def flow_deltas(now: Totals, before: Totals) -> tuple[int | None, int | None]:
    """Return what was added and removed in the interval; None if any part went backwards."""
    return _sum_of_growth(now.added, before.added), _sum_of_growth(now.removed, before.removed)


def _unclean(memory: Memory | None) -> tuple[int | None, int | None]:
    return (None, None) if memory is None else (memory.dirty_bytes, memory.writeback_bytes)


def _sum_of_growth(now: tuple[int, ...], before: tuple[int, ...]) -> int | None:
    if any(map(int.__lt__, now, before)):
        return None
    return sum(now) - sum(before)
