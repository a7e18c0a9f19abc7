"""The files of one memory cgroup on v1 and v2, and how their text becomes a Memory.

Opens nothing; cgroupfs.py does. Figures are hierarchical and in bytes, except refaults,
which the kernel counts in pages (memcg_page_state_output_unit) and which leave here as
bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from memtrace.samples import Memory

Number = int | None
Numbers = Sequence[Number]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_MAX_DIGITS = 20  # u64
# v1 writes PAGE_COUNTER_MAX * PAGE_SIZE for "no limit": just below 2^63, by the page size.
_NO_LIMIT = 1 << 62


def parse_number(data: bytes) -> Number:
    """A file holding one amount; None for "max", v1's "no limit" and anything odd."""
    word = data.strip()
    if not word.isdigit() or len(word) > _MAX_DIGITS:
        return None
    value = int(word)
    return value if value < _NO_LIMIT else None


class StatParser:
    """Picks the same keys out of every memory.stat; absent or odd ones are None.

    The order of lines is fixed for a running kernel, so positions are learned once and
    only checked afterwards: 6 us instead of 19 us for building a dictionary.
    """

    def __init__(self, keys: Sequence[bytes], section: bytes = b"") -> None:
        self._keys = tuple(keys)
        self._section = section
        self._names: list[bytes] = []
        self._places: list[tuple[int, int]] = []  # (index in keys, index in words)

    def parse(self, data: bytes) -> list[Number]:
        """The amounts in the order of the keys."""
        words = data[max(data.find(self._section), 0) :].split()
        names = words[: len(words) & ~1 : 2]
        if names != self._names:
            self._learn(names)
        values: list[Number] = [None] * len(self._keys)
        for key, place in self._places:
            word = words[place]
            if word.isdigit() and len(word) <= _MAX_DIGITS:
                values[key] = int(word)
        return values

    def _learn(self, names: list[bytes]) -> None:
        first = {name: place for place, name in reversed([*enumerate(names)])}
        found = [(n, first[key]) for n, key in enumerate(self._keys) if key in first]
        self._names = names
        self._places = [(n, 2 * place + 1) for n, place in found]


@dataclass(frozen=True, slots=True)
class Layout:
    """What one version of the interface calls things. `others` are optional files."""

    usage: str
    limit: str
    others: tuple[str, ...]
    keys: tuple[bytes, ...]
    section: bytes  # where the keys start in memory.stat
    build: Callable[[Number, Number, Numbers, Numbers, Number], Memory]


def _bytes_of(pages: Number) -> Number:
    return None if pages is None else pages * _PAGE


# v1 counts the buffers of TCP sockets only in cgroups with a limit for them, and apart from
# memory: without one, 0 means not counted.
def _build_v1(usage: Number, limit: Number, stat: Numbers, others: Numbers, huge: Number) -> Memory:
    cache, rss, inactive, active, shmem, dirty, writeback, refaults, swap = stat
    kernel, memsw_limit, sock, sock_limit = others
    return Memory(
        limit_bytes=limit,
        usage_bytes=usage,
        inactive_file_bytes=inactive,
        active_file_bytes=active,
        anon_bytes=rss,
        file_bytes=cache,
        shmem_bytes=shmem,
        dirty_bytes=dirty,
        writeback_bytes=writeback,
        refaulted_bytes=_bytes_of(refaults),
        kernel_bytes=kernel,
        swap_bytes=swap,
        memsw_limit_bytes=memsw_limit,
        sock_bytes=sock if sock or sock_limit is not None else None,
        hugetlb_bytes=huge,
    )


def _build_v2(usage: Number, limit: Number, stat: Numbers, others: Numbers, huge: Number) -> Memory:
    file, anon, inactive, active, shmem, dirty, writeback, refaults, *rest = stat
    slab, reclaimable, kernel, sock, stack, tables, guest_tables, percpu, hugetlb = rest
    swap, swap_limit = others
    return Memory(
        limit_bytes=limit,
        usage_bytes=usage,
        inactive_file_bytes=inactive,
        active_file_bytes=active,
        anon_bytes=anon,
        file_bytes=file,
        shmem_bytes=shmem,
        dirty_bytes=dirty,
        writeback_bytes=writeback,
        refaulted_bytes=_bytes_of(refaults),
        slab_bytes=slab,
        slab_reclaimable_bytes=reclaimable,
        kernel_bytes=kernel,
        swap_bytes=swap,
        swap_limit_bytes=swap_limit,
        sock_bytes=sock,
        kernel_stack_bytes=stack,
        page_table_bytes=tables if tables is None else tables + (guest_tables or 0),
        percpu_bytes=percpu,
        hugetlb_bytes=huge,
        hugetlb_charged_bytes=hugetlb,
    )


V1 = Layout(
    usage="memory.usage_in_bytes",
    limit="memory.limit_in_bytes",
    others=(
        "memory.kmem.usage_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.kmem.tcp.usage_in_bytes",
        "memory.kmem.tcp.limit_in_bytes",
    ),
    keys=(
        b"total_cache",
        b"total_rss",
        b"total_inactive_file",
        b"total_active_file",
        b"total_shmem",
        b"total_dirty",
        b"total_writeback",
        b"total_workingset_refault_file",
        b"total_swap",
    ),
    section=b"total_cache ",
    build=_build_v1,
)

# `hugetlb` is there only when huge pages are charged to memory.current (mount option
# memory_hugetlb_accounting). `sec_pagetables` are those of virtual machines: since Linux
# ebc97a52b5d6 ("mm: add NR_SECONDARY_PAGETABLE to count secondary page table uses") (in v6.1).
V2 = Layout(
    usage="memory.current",
    limit="memory.max",
    others=("memory.swap.current", "memory.swap.max"),
    keys=(
        b"file",
        b"anon",
        b"inactive_file",
        b"active_file",
        b"shmem",
        b"file_dirty",
        b"file_writeback",
        b"workingset_refault_file",
        b"slab",
        b"slab_reclaimable",
        b"kernel",
        b"sock",
        b"kernel_stack",
        b"pagetables",
        b"sec_pagetables",
        b"percpu",
        b"hugetlb",
    ),
    section=b"",
    build=_build_v2,
)
