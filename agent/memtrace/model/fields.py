"""The one table of figures: name, unit, kind, help, title and width, for every view.

Names are those of the JSON contract and of the attributes in shapes.py; a test keeps
the three together. Holds no values and computes none.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Unit = Literal["bytes", "seconds", "text"]
Kind = Literal["gauge", "counter", "label"]


class Field(NamedTuple):
    """One figure. `kind` counter: only ever grows, so a fall is a missing reading.

    `title` and `width` are of its column on an 80-column screen.
    """

    name: str
    unit: Unit
    kind: Kind
    help: str
    title: str
    width: int = 5

    @property
    def delta_name(self) -> str:
        """The name of its change over the last interval."""
        return f"{self.name.removesuffix('_bytes')}_delta_bytes"


def _gauge(name: str, title: str, text: str) -> Field:
    return Field(name, "bytes", "gauge", text, title)


def _counter(name: str, title: str, text: str) -> Field:
    return Field(name, "bytes", "counter", text, title)


MEMORY: tuple[Field, ...] = (
    _gauge("limit_bytes", "LIMIT", "smallest memory limit of the cgroup and its ancestors"),
    Field("limit_cgroup", "text", "label", "the cgroup that sets the limit", "LIMIT BY", 20),
    _gauge("usage_bytes", "USAGE", "all memory charged, as the kernel counts it"),
    _gauge("working_set_bytes", "WSET", "usage without inactive file cache, as the kubelet counts"),
    _gauge("anon_bytes", "ANON", "heap, stacks and other memory without a file behind it"),
    _gauge("file_bytes", "CACHE", "page cache, shared memory and tmpfs included"),
    _gauge("shmem_bytes", "SHMEM", "shared memory and tmpfs: cache that only swap can free"),
    _gauge("kernel_bytes", "KERNEL", "kernel memory: slab, stacks, page tables, per-CPU and more"),
    _gauge("slab_bytes", "SLAB", "kernel objects such as dentries and inodes"),
    _gauge("swap_bytes", "SWAP", "memory moved to swap"),
    _gauge("swap_limit_bytes", "SWAPLIM", "smallest limit of swap, ancestors' included"),
    _gauge("sock_bytes", "SOCK", "network buffers (v1: TCP, apart from usage)"),
    _gauge("kernel_stack_bytes", "KSTACK", "kernel stacks of its threads"),
    _gauge("page_table_bytes", "PTABLE", "page tables"),
    _gauge("percpu_bytes", "PERCPU", "per-CPU kernel data"),
    _gauge("hugetlb_bytes", "HUGETLB", "huge pages (hugetlb), apart from usage"),
    _gauge("unexplained_bytes", "UNEXPL", "usage that no figure above accounts for (signed)"),
)

PAGE_CACHE: tuple[Field, ...] = (
    _gauge("attributed_bytes", "LEDGER", "baseline + added - removed"),
    _gauge("unattributed_bytes", "REST", "the kernel's cache figure minus the ledger's (signed)"),
    Field("baseline_bytes", "bytes", "gauge", "cached before memtrace watched", "BEFORE", 6),
    _counter("added_bytes", "ADDED", "put into the cache since memtrace watches"),
    _counter("removed_bytes", "REMOVED", "left the cache since memtrace watches"),
    _gauge("clean_bytes", "CLEAN", "cache the kernel can drop at once: no shmem, nothing to write"),
    _gauge("dirty_bytes", "DIRTY", "cache that waits to be written"),
    _gauge("writeback_bytes", "WRBACK", "cache being written now"),
    _counter("refaulted_bytes", "REFAULT", "read again soon after it was dropped"),
)

# Of a whole process, named as in samples.ProcessRow; at its end or as last seen.
PROCESS: tuple[Field, ...] = (
    _gauge("peak_rss_bytes", "PEAK", "most memory it had resident at once"),
    _counter("disk_read_bytes", "DISK RD", "read from disk, not from the cache"),
    _counter("disk_write_bytes", "DISK WR", "written to disk, or dirtied to be"),
    Field("stall_seconds", "seconds", "counter", "its threads waited for memory", "STALLS"),
)

GROWTH = Field("usage_delta_bytes", "bytes", "gauge", "change of usage", "GROWTH", 6)
LIMIT_SHARE = Field("limit_share", "text", "gauge", "usage as a share of the limit", "LIM%", 4)
NAME = Field("name", "text", "label", "container, unit or cgroup", "CONTAINER", 16)
CAUSE = Field("cause", "text", "label", "what put most into the cache", "TOP CAUSE", 26)


def _named(name: str) -> Field:
    return next(field for field in (*MEMORY, *PAGE_CACHE) if field.name == name)


# The columns of plain rows, left to right; the last takes what width remains.
PLAIN: tuple[Field, ...] = (
    NAME,
    _named("usage_bytes"),
    LIMIT_SHARE,
    _named("anon_bytes"),
    _named("file_bytes"),
    _named("baseline_bytes"),
    GROWTH,
    CAUSE,
)
