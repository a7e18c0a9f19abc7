"""The whole machine's memory, and whether it is short of it as the kubelet reckons."""

from __future__ import annotations

from typing import NamedTuple

from memtrace.model.memory import working_set
from memtrace.samples import Sample

SHORT = 0.1
"""Of all memory. The kubelet evicts below 100 MiB (memory.available, its default); the kernel kills
later still. A tenth is what a burst of one more container takes on a small node."""


class Machine(NamedTuple):
    """All of its memory, what of it is available, and its CPUs; None: unknown."""

    total_bytes: int | None = None
    left_bytes: int | None = None
    cpus: int | None = None

    @property
    def short(self) -> bool:
        """Whether less than SHORT of its memory is available, as far as is known."""
        left, total = self.left_bytes, self.total_bytes
        return left is not None and total is not None and left < SHORT * total


def machine(sample: Sample) -> Machine:
    """Return what the sample tells.

    Available is what the root's working set leaves, as the kubelet computes it
    (kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction): on version 2, whose
    root has no usage of its own, all memory that is free or in files nobody uses. Where free
    memory is not told, by the root's own usage.
    """
    total, free = sample.machine_bytes, sample.machine_free_bytes
    root = next((each.memory for each in sample.cgroups if each.parent_id is None), None)
    if total is None or root is None:
        return Machine(total, cpus=sample.cpus)
    if free is not None and root.inactive_file_bytes is not None:
        return Machine(total, free + root.inactive_file_bytes, sample.cpus)
    used = working_set(root)
    return Machine(total, None if used is None else max(0, total - used), sample.cpus)
