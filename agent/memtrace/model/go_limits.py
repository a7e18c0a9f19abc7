"""What of a container's memory Go's runtimes do not manage, and how much that leaves for them.

GOMEMLIMIT counts what the runtime maps, so all else in the container has to fit beside it: other
anonymous memory (cgo, other programs), the kernel's memory, shared memory, and the files that are
read again and again.
"""

from __future__ import annotations

from collections.abc import Iterable

from memtrace.model.go_shapes import Beside
from memtrace.model.memory import kernel_memory
from memtrace.samples import GoProcess, Memory


def beside(limit: int | None, memory: Memory | None, processes: Iterable[GoProcess]) -> Beside:
    """Return what the Go processes of one cgroup have beside them.

    What a runtime holds ready may exceed what it has touched, so the other part of anonymous
    memory is at least this much, never negative.
    """
    if memory is None or memory.anon_bytes is None:
        return Beside(limit)
    mapped = sum(each.heap.mapped_bytes for each in processes if each.heap is not None)
    parts = (max(0, memory.anon_bytes - mapped), kernel_memory(memory), memory.shmem_bytes)
    other = sum(part for part in parts if part is not None)
    return Beside(limit, other, memory.active_file_bytes)
