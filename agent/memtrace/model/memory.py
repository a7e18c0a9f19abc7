"""The kernel's figures of each cgroup and what follows from them; no page-cache ledger here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter

from memtrace.model.shapes import MemoryFigures
from memtrace.model.tree import Tree
from memtrace.samples import CgroupSample, Memory

Limit = tuple[int | None, str | None]

_KERNEL_PARTS = attrgetter(
    "sock_bytes", "kernel_stack_bytes", "page_table_bytes", "percpu_bytes", "hugetlb_bytes"
)
UNKNOWN = MemoryFigures()


def effective_limits(tree: Tree, cgroups: Mapping[int, CgroupSample]) -> dict[int, Limit]:
    """Return for each cgroup the smallest limit on its way up and the cgroup that sets it.

    Of equal limits the one nearest to the cgroup is named.
    """
    limits: dict[int, Limit] = {}
    for key in tree.top_down:
        above = tree.parent.get(key)
        limit: Limit = limits[above] if above is not None else (None, None)
        memory = cgroups[key].memory
        own = memory.limit_bytes if memory is not None else None
        if own is not None and (limit[0] is None or own <= limit[0]):
            limit = (own, cgroups[key].path)
        limits[key] = limit
    return limits


def effective_swap_limits(
    tree: Tree, cgroups: Mapping[int, CgroupSample], limits: Mapping[int, Limit]
) -> dict[int, int | None]:
    """Return for each cgroup how much may be in swap; None where nothing limits it.

    v2: the smallest swap limit on its way up. v1 limits memory and swap together: what the
    smallest of those leaves for swap when memory stands at its effective limit (`limits`).
    """
    swap = _smallest(tree, cgroups, attrgetter("swap_limit_bytes"))
    both = _smallest(tree, cgroups, attrgetter("memsw_limit_bytes"))
    return {key: _least(swap[key], _beside(both[key], limits[key][0])) for key in tree.top_down}


def _smallest(
    tree: Tree, cgroups: Mapping[int, CgroupSample], own: Callable[[Memory], int | None]
) -> dict[int, int | None]:
    found: dict[int, int | None] = {}
    for key in tree.top_down:
        memory = cgroups[key].memory
        mine = own(memory) if memory is not None else None
        found[key] = _least(found.get(tree.parent.get(key, -1)), mine)
    return found


def _least(one: int | None, other: int | None) -> int | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)


def _beside(both: int | None, limit: int | None) -> int | None:
    return None if both is None else max(0, both - (limit or 0))


def figures(
    memory: Memory | None, limit: Limit, swap_limit: int | None, mode: str, whole: bool
) -> MemoryFigures:
    """Return all figures of one cgroup; all unknown for a removed one.

    `mode`: v1, v2 or hybrid; `whole`: it is the root, which holds the whole machine.
    """
    if memory is None:
        return UNKNOWN
    first = (*limit, memory.usage_bytes, working_set(memory), memory.anon_bytes, memory.file_bytes)
    kernel = (memory.shmem_bytes, kernel_memory(memory), memory.slab_bytes)
    swap = (memory.swap_bytes, swap_limit)
    rest = unexplained(memory, mode, whole)
    return MemoryFigures._make((*first, *kernel, *swap, *_KERNEL_PARTS(memory), rest))


def working_set(memory: Memory) -> int | None:
    """Return usage without inactive file pages, never negative: what the kubelet evicts for."""
    if memory.usage_bytes is None or memory.inactive_file_bytes is None:
        return None
    return max(0, memory.usage_bytes - memory.inactive_file_bytes)


def clean(memory: Memory | None) -> int | None:
    """Return file cache that is neither shmem nor waiting to be written, never negative."""
    if memory is None or memory.file_bytes is None or memory.shmem_bytes is None:
        return None
    if memory.dirty_bytes is None or memory.writeback_bytes is None:
        return None
    unclean = memory.shmem_bytes + memory.dirty_bytes + memory.writeback_bytes
    return max(0, memory.file_bytes - unclean)


def unexplained(memory: Memory, mode: str, whole: bool = False) -> int | None:
    """Return usage that no figure accounts for, signed; None if a needed figure is unknown.

    v2: usage - anon - file - kernel - sock, where `kernel` already holds slab, stacks, page
    tables and per-CPU data, and minus huge pages where they are charged (mount option
    memory_hugetlb_accounting; known since Linux 05d4532b60e3 ("memcg/hugetlb: add hugeTLB
    counters to memcg") (in v6.13)). v1 (and hybrid,
    whose memory controller is v1): usage - rss - cache - kmem; TCP buffers and huge pages
    have counters of their own there. The usage of v1's root is rss + cache by definition,
    although its kmem is known. Normal are up to 64 pages per CPU: each keeps charged pages
    in stock, and memory.stat may be as far behind usage either way. Pages on their way to
    or from swap stay in the remainder.
    """
    usage, anon, file = memory.usage_bytes, memory.anon_bytes, memory.file_bytes
    kernel = 0 if whole and mode != "v2" else kernel_memory(memory)
    sock = memory.sock_bytes if mode == "v2" else 0
    if usage is None or anon is None or file is None or kernel is None or sock is None:
        return None
    return usage - anon - file - kernel - sock - (memory.hugetlb_charged_bytes or 0)


def kernel_memory(memory: Memory) -> int | None:
    """Return kernel memory; from its parts where memory.stat has no `kernel` line.

    Since Linux a8c49af3be5f ("memcg: add per-memcg total kernel memory stat") (in v5.18).
    """
    if memory.kernel_bytes is not None or memory.slab_bytes is None:
        return memory.kernel_bytes
    others = (memory.kernel_stack_bytes, memory.page_table_bytes, memory.percpu_bytes)
    return memory.slab_bytes + sum(part for part in others if part is not None)
