"""What a container's figures have around them: the machine's memory, swap and CPUs."""

from __future__ import annotations

from typing import NamedTuple

from memtrace.model.memory import working_set
from memtrace.samples import Memory, Sample

SHORT = 0.1
"""Of all memory. The kubelet evicts below 100 MiB (memory.available, its default); the kernel kills
later still. A tenth is what a burst of one more container takes on a small node."""
SWAP_STEP = 64 << 20


class Machine(NamedTuple):
    """Its memory, swap and CPUs; None: unknown.

    `left_bytes` is what is available, told only where it is short of memory. `swap_left_bytes` is
    what is free of swap, in whole SWAP_STEPs. Both so coarse because every container is judged
    anew when anything here changed.
    """

    total_bytes: int | None = None
    left_bytes: int | None = None
    cpus: int | None = None
    swap_left_bytes: int | None = None

    @property
    def short(self) -> bool:
        """Whether less than SHORT of its memory is available, as far as is known."""
        return self.left_bytes is not None


def machine(sample: Sample) -> Machine:
    """Return what the sample tells."""
    total, swap = sample.machine_bytes, sample.swap
    root = next((each.memory for each in sample.cgroups if each.parent_id is None), None)
    left = None if total is None or root is None else _left(total, sample, root)
    if left is not None and left >= SHORT * (total or 0):
        left = None
    free = None if swap is None else max(0, swap.total_bytes - swap.used_bytes)
    steps = None if free is None else free // SWAP_STEP * SWAP_STEP
    return Machine(total, left, sample.cpus, steps)


def _left(total: int, sample: Sample, root: Memory) -> int | None:
    """Return what the root's working set leaves, as the kubelet computes it.

    kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction. On version 2, whose root
    has no usage of its own, all memory that is free or in files nobody uses. Where free memory is
    not told, by the root's own usage.
    """
    if sample.machine_free_bytes is not None and root.inactive_file_bytes is not None:
        return sample.machine_free_bytes + root.inactive_file_bytes
    used = working_set(root)
    return None if used is None else max(0, total - used)
