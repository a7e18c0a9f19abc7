"""The one table of figures: name, unit, kind, help, title and width, for every view.

Names are those of the JSON contract and of the attributes in shapes.py; a test keeps
the three together. Holds no values and computes none.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Unit = Literal["bytes", "seconds", "number", "text"]
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


def _named(name: str) -> Field:
    return next(field for field in MEMORY if field.name == name)


# What working_set_bytes is made of, and what of all memory reclaim could take.
WORKING_SET: tuple[Field, ...] = (
    _named("usage_bytes"),
    _named("working_set_bytes"),
    _gauge("active_file_bytes", "ACTIVE", "file cache used more than once: working set"),
    _gauge("reclaimable_slab_bytes", "RECSLAB", "kernel objects that reclaim can free"),
    _gauge("rss_bytes", "RSS", "anonymous memory, as the kubelet calls it"),
    _gauge("reclaimable_file_bytes", "RECFILE", "clean file cache that reclaim can take"),
    _gauge("reclaimable_bytes", "RECLAIM", "clean file cache and slab that reclaim can take"),
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
CAUSE = Field("cause", "text", "label", "what put most into the cache", "TOP CAUSE", 20)


# The columns of plain rows, left to right; the last takes what width remains.
PLAIN: tuple[Field, ...] = (
    NAME,
    _named("usage_bytes"),
    LIMIT_SHARE,
    _named("anon_bytes"),
    _named("file_bytes"),
    next(field for field in PAGE_CACHE if field.name == "baseline_bytes"),
    GROWTH,
    CAUSE,
)

# What else the screen shows of a container.
SINCE_START = _gauge("since_start_bytes", "SINCE", "change of usage since memtrace first saw it")
TREND = Field("trend", "text", "gauge", "usage over the last 120 tables", "TREND", 8)
ADDED_NOW = _gauge("added_delta_bytes", "ADDED", "put into the cache since the table before")
VERDICT = Field("verdict", "text", "label", "what the figures mean", "VERDICT", 16)
NAMESPACE = Field("namespace", "text", "label", "Kubernetes namespace", "NAMESPACE", 10)

PATH = Field("path", "text", "label", "the file, as its container sees it if known", "FILE", 16)
COMM = Field("comm", "text", "label", "the process' name", "PROCESS", 15)
PID = Field("pid", "number", "label", "process id on the host", "PID", 7)
KIND = Field("kind", "text", "label", "what was done", "BY", 14)
REMARK = Field("remark", "text", "label", "what is special about it", "REMARK", 13)

CHARGED_TO = Field("charged_to", "text", "label", "the cgroup that pays for it", "PAID BY", 20)

# Rows of the lists inside a container, in the order of their columns.
DRIVER_LIST: tuple[Field, ...] = (
    _counter("added_bytes", "ADDED", "put into the cache since memtrace watches"),
    _gauge("added_delta_bytes", "LATEST", "put into the cache since the table before"),
    KIND,
    COMM,
    PID,
    Field("syscall", "text", "label", "the system call", "CALL", 15),
    Field("function", "text", "label", "the code most of it came from, sampled", "CODE", 24),
    PATH,
)
FILE_LIST: tuple[Field, ...] = (
    _gauge("resident_bytes", "CACHED", "of this file, in the cache now"),
    Field("baseline_bytes", "bytes", "gauge", "cached before memtrace watched", "BEFORE", 6),
    _counter("added_bytes", "ADDED", "put into the cache since memtrace watches"),
    _counter("removed_bytes", "REMOVED", "left the cache since memtrace watches"),
    _counter("refaulted_bytes", "REREAD", "read again after reclaim took it, while watched"),
    REMARK,
    CHARGED_TO,
    PATH,
)
PROCESS_LIST: tuple[Field, ...] = (
    _counter("added_bytes", "ADDED", "put into the cache since memtrace watches"),
    *PROCESS,
    PID,
    COMM,
)
SLAB_LIST: tuple[Field, ...] = (
    _gauge("bytes", "HELD", "by its objects, as the kernel charges them"),
    Field("objects", "number", "gauge", "objects in use", "OBJECTS", 8),
    Field("cache", "text", "label", "the kernel's name of the cache", "CACHE", 19),
    Field("reclaimable", "text", "label", "the kernel frees them under pressure", "FREED"),
    Field("culprits", "text", "label", "who had most of them allocated", "BY WHOM", 20),
)
# Of a Go process, named as in samples.GoHeap and model.go.GoRow.
GO_LIST: tuple[Field, ...] = (
    _gauge("heap_in_use_bytes", "INUSE", "heap in use: spans with objects in them"),
    _gauge("heap_live_bytes", "LIVE", "objects the last collection found, and all since"),
    _gauge("heap_goal_bytes", "GOAL", "how large the heap may get before it is collected"),
    _gauge("heap_idle_bytes", "IDLE", "heap without objects, given back or not"),
    Field("gomemlimit_bytes", "bytes", "gauge", "GOMEMLIMIT as it is now", "MEMLIM", 6),
    Field("gogc", "number", "gauge", "GOGC as it is now", "GOGC", 4),
    Field("gomaxprocs", "number", "gauge", "GOMAXPROCS as it is now", "PROCS", 5),
    _gauge("allocated_delta_bytes", "ALLOC", "allocated since the table before"),
    Field("gc_cycles_delta", "number", "gauge", "collections since the table before", "GCS", 5),
    Field("gc_cpu_fraction", "number", "gauge", "CPU time that collecting took", "GC%", 5),
    PID,
    COMM,
    Field("version", "text", "label", "the toolchain it was built with", "GO", 9),
)
TEXT = Field("text", "text", "label", "what is to be said", "", 20)
WHAT = Field("what", "text", "label", "what the amount is of", "WHAT", 16)
BYTES = _gauge("bytes", "NOW", "how much it is now")
TOTAL = _counter("bytes", "TOTAL", "since memtrace watches")
LATEST = _gauge("change_delta_bytes", "LATEST", "since the table before")
CHANGE = _gauge("change_delta_bytes", "CHANGE", "change since the table before")
SHARE = Field("share", "text", "gauge", "as a share of all", "SHARE", 6)
MEANING = Field("meaning", "text", "label", "what it is", "MEANING", 16)
