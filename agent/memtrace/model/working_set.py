"""What the kubelet counts of a cgroup's memory, and what the kernel could take back of it.

Clean file cache that reclaim can take is what stands on the two LRU lists of files, active and
inactive, without what is dirty or being written. Shared memory is on the lists of anonymous
memory, and locked pages and ramfs on the list of unevictable ones, so none of them counts.
"""

from __future__ import annotations

from memtrace.model.memory import working_set
from memtrace.model.shapes import WorkingSet
from memtrace.samples import Memory

_UNKNOWN = WorkingSet()


def explain(memory: Memory | None) -> WorkingSet:
    """Return the figures side by side; all unknown for a removed cgroup."""
    if memory is None:
        return _UNKNOWN
    file, slab = _clean_listed(memory), memory.slab_reclaimable_bytes
    return WorkingSet(
        memory.usage_bytes,
        working_set(memory),
        memory.active_file_bytes,
        slab,
        memory.anon_bytes,
        file,
        None if file is None or slab is None else file + slab,
    )


def given_back(figures: WorkingSet) -> int | None:
    """Return how much of the working set reclaim could take, at least; None if unknown.

    Inactive file cache is no part of the working set. Where slab is unknown (cgroup v1), and
    where inactive pages are dirty, it is more than this.
    """
    usage, kept, file = (
        figures.usage_bytes,
        figures.working_set_bytes,
        figures.reclaimable_file_bytes,
    )
    if usage is None or kept is None or file is None:
        return None
    apart = usage - kept
    return max(0, file + (figures.reclaimable_slab_bytes or 0) - apart)


def _clean_listed(memory: Memory) -> int | None:
    active, inactive = memory.active_file_bytes, memory.inactive_file_bytes
    dirty, writeback = memory.dirty_bytes, memory.writeback_bytes
    if active is None or inactive is None or dirty is None or writeback is None:
        return None
    return max(0, active + inactive - dirty - writeback)
