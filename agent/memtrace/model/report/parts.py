"""What memory in use consists of, in parts that add up to it. Knows no cgroup and no time."""

from __future__ import annotations

from collections.abc import Mapping

from memtrace.model.memory import kernel_memory
from memtrace.model.report.shapes import Parts
from memtrace.samples import Memory

_ENDLESS = 1 << 63


def of_memory(memory: Memory, mode: str, whole: bool) -> Parts:
    """Return the parts of a cgroup. `mode`: v1, v2 or hybrid; `whole`: it is the root.

    Sockets are part of the usage on v2 only, and v1's root has no kernel memory in its usage.
    """
    return _parts(
        memory.usage_bytes,
        memory.anon_bytes,
        memory.file_bytes,
        memory.shmem_bytes,
        (memory.dirty_bytes, memory.writeback_bytes),
        0 if whole and mode != "v2" else kernel_memory(memory),
        memory.slab_bytes,
        memory.sock_bytes if mode == "v2" else None,
    )


def of_record(told: Mapping[str, object]) -> Parts:
    """Return the parts that a moment, or the composition, of a post-mortem tells."""

    def amount(key: str) -> int | None:
        return whole_number(told.get(f"{key}_bytes"))

    return _parts(
        amount("usage"),
        amount("anon"),
        amount("file"),
        amount("shmem"),
        (amount("dirty"), amount("writeback")),
        amount("kernel"),
        amount("slab"),
        amount("sock"),
    )


def whole_number(value: object) -> int | None:
    """Return a whole number as the kernel has them, None for anything else."""
    return value if type(value) is int and abs(value) < _ENDLESS else None


def _parts(
    usage: int | None,
    anon: int | None,
    file: int | None,
    shmem: int | None,
    unwritten: tuple[int | None, ...],
    kernel: int | None,
    slab: int | None,
    sock: int | None,
) -> Parts:
    """Split file cache and kernel memory; the kernel's figures may be behind each other a bit."""
    clean = None
    known = [part for part in unwritten if part is not None]
    waiting = sum(known) if known else None
    if file is not None:
        clean = max(0, file - (shmem or 0) - (waiting or 0))
    rest = None
    if usage is not None:
        rest = max(0, usage - sum(part or 0 for part in (anon, file, kernel, sock)))
    if kernel is not None and slab is not None:
        slab = min(slab, kernel)
        kernel -= slab
    return Parts(anon, shmem, kernel, slab, sock, rest, waiting, clean)
