"""What of a memory limit a Go process cannot have: all else below that limit, in whoever's hands.

GOMEMLIMIT counts what one process' runtime maps, so everything else has to fit beside it: other
anonymous memory (other processes, Go's too, and cgo), the kernel's memory, shared memory, and the
files that are read again and again.
"""

from __future__ import annotations

from memtrace.model.go_shapes import Beside
from memtrace.model.memory import kernel_memory
from memtrace.samples import GoProcess, Memory


def beside(
    limit: int | None, memory: Memory | None, process: GoProcess, runtimes_bytes: int
) -> Beside:
    """Return what a Go process has beside it.

    `memory`: of the cgroup that sets the limit, with all below it. `runtimes_bytes`: what the
    runtimes of all Go processes of its own cgroup map. What the runtime holds ready may
    exceed what it has touched, so the other part of anonymous memory is at least this much.
    """
    if limit is None or memory is None or process.heap is None:
        return Beside(limit)
    kernel, shared = kernel_memory(memory), memory.shmem_bytes
    if memory.anon_bytes is None or kernel is None or shared is None:
        return Beside(limit, None, memory.active_file_bytes)
    mapped = process.heap.mapped_bytes
    other = max(0, memory.anon_bytes - mapped) + kernel + shared
    return Beside(limit, other, memory.active_file_bytes, mapped, runtimes_bytes - mapped)
