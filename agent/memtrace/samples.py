"""Samples: what was read at one moment, raw, cumulative, immutable and serialisable.

The one vocabulary shared by collect/ (builds Samples), model/ (turns two Samples
into a Snapshot) and store/ (keeps Samples). Holds no behaviour. Every amount is in
bytes, every cumulative figure counts from the moment the agent first saw the
cgroup, and `None` means unknown, never zero. Rows are tuples, as there are many.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

# The order of both tuples is the order of enum mt_kind / mt_reason in bpf/include/wire.h.
KINDS: tuple[str, ...] = (
    "read",
    "write",
    "mmap",
    "readahead",
    "sendfile",
    "splice",
    "copy_file_range",
    "fallocate",
    "exec",
    "io_uring",
    "metadata",
    "shmem",
    "kernel",
    "other",
)
REASONS: tuple[str, ...] = ("reclaim", "truncate", "unlink", "drop", "other")
PAUSE_BOUNDS: tuple[float, ...] = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.1)
"""Seconds that a pause of a Go program may last to be counted in each of GoCollected.pauses."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One named ability of this run: on, or off with the reason and what is lost.

    `on_demand`: off because nobody asked for it; nothing is missing.
    """

    enabled: bool
    reason: str = ""
    on_demand: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """What did not reach the agent, cumulative. Counts of events, except map_full (bytes)."""

    ring: int = 0
    map_full: int = 0
    recursion: int = 0
    names: int = 0
    netlink: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is behind a cgroup. `kind`: container, sandbox, pod, unit or cgroup."""

    kind: str
    name: str
    runtime: str | None = None
    namespace: str | None = None
    pod: str | None = None
    container: str | None = None
    image: str | None = None
    resolved_by: str = "path"


@dataclass(frozen=True, slots=True)
class Memory:
    """The kernel's own hierarchical figures of one memory cgroup, in bytes.

    v1: `total_*` of memory.stat and *_in_bytes; v2: the plain keys. `file_bytes`
    includes shmem on both. `limit_bytes`, `swap_limit_bytes` (v2) and `memsw_limit_bytes`
    (v1: memory and swap together) are this cgroup's own limits (None: none set); the
    effective ones are computed by the model. v1 does not say
    what kernel memory consists of. `hugetlb_bytes` is the hugetlb controller's figure, which
    is no part of usage; `hugetlb_charged_bytes` is what of it the kernel charges to memory.
    """

    limit_bytes: int | None = None
    usage_bytes: int | None = None
    inactive_file_bytes: int | None = None
    active_file_bytes: int | None = None
    anon_bytes: int | None = None
    file_bytes: int | None = None
    shmem_bytes: int | None = None
    dirty_bytes: int | None = None
    writeback_bytes: int | None = None
    refaulted_bytes: int | None = None  # workingset_refault_file, cumulative
    slab_bytes: int | None = None
    slab_reclaimable_bytes: int | None = None
    kernel_bytes: int | None = None  # v2 `kernel`, v1 kmem.usage_in_bytes
    swap_bytes: int | None = None
    swap_limit_bytes: int | None = None
    memsw_limit_bytes: int | None = None
    sock_bytes: int | None = None
    kernel_stack_bytes: int | None = None
    page_table_bytes: int | None = None
    percpu_bytes: int | None = None
    hugetlb_bytes: int | None = None
    hugetlb_charged_bytes: int | None = None


class FileId(NamedTuple):
    """A file as the kernel knows it: s_dev (major << 20 | minor), i_ino, i_generation."""

    device: int
    inode: int
    generation: int = 0


class DriverRow(NamedTuple):
    """One row of the joint ledger: this process put so much of this file in, this way.

    `path` is the host path when known (undecodable bytes as surrogates), else None;
    `file` is None where the kernel cannot say which file (a fault on shared memory).
    `tgid` is 0 where the kernel cannot say which process.
    `syscall` is a name such as "pwrite64"; "page fault" for faults; None when unknown.
    """

    file: FileId | None
    path: str | None
    container_path: str | None
    tgid: int
    comm: str | None
    kind: str
    syscall: str | None
    added_bytes: int
    recent_bytes: int = 0  # of these, since the sample before
    function: str | None = None  # most of it came from there, by sampled stacks; None: not watched


class FileUser(NamedTuple):
    """A process that did something with a file's pages, and the memory cgroup it is in.

    `cgroup` is its path, None when it was never seen; `name` is what it is called;
    `container` None: it is none, or not named yet.
    """

    cgroup_id: int
    cgroup: str | None
    name: str
    container: str | None
    pid: int
    comm: str | None
    bytes: int


class FileUses(NamedTuple):
    """What is known of a file's pages only while somebody watches, cumulative since then.

    The lists have the largest users first. None: not watched. `touched_by` are those of other
    cgroups, which do not pay; `own` are the payer's own processes, with what they read or map.
    """

    refaulted_bytes: int | None = None
    touched_by: tuple[FileUser, ...] | None = None
    dirtied_by: tuple[FileUser, ...] | None = None
    own: tuple[FileUser, ...] | None = None


class FileRow(NamedTuple):
    """One file's share of one cgroup's cache. resident = baseline + added - removed."""

    file: FileId | None
    path: str | None
    container_path: str | None
    deleted: bool | None
    shmem: bool
    metadata: bool
    baseline_bytes: int | None
    added_bytes: int
    removed_bytes: int
    uses: FileUses | None = None


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process' additions to one cgroup, over all its files, and facts about the process.

    The facts are of the whole process, wherever its pages are charged, at its end or as last
    seen; `stall_seconds` is how long its threads waited for memory. None: not told. `tgid` 0
    holds what no process is known for.
    """

    tgid: int
    start: int
    comm: str | None
    added_bytes: int
    peak_rss_bytes: int | None = None
    disk_read_bytes: int | None = None
    disk_write_bytes: int | None = None
    stall_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """One cgroup's own (local, not hierarchical) page-cache ledger, cumulative bytes.

    `added` follows KINDS and `removed` follows REASONS; both are exact and complete.
    The row tuples are the largest rows only; what they leave out is the difference
    to the totals. `baseline_bytes`: 0 for a cgroup born after the programs were
    attached, None for an older one whose baseline is not known.
    `departed_*` are the totals of released child cgroups, folded into this one.
    """

    added: tuple[int, ...] = (0,) * len(KINDS)
    removed: tuple[int, ...] = (0,) * len(REASONS)
    departed_added: tuple[int, ...] = (0,) * len(KINDS)
    departed_removed: tuple[int, ...] = (0,) * len(REASONS)
    departed_baseline_bytes: int | None = 0
    overflow_bytes: int = 0  # part of `added` that had no row of its own
    baseline_bytes: int | None = None
    baseline_exact: bool = True  # False while files are still being settled
    drivers: tuple[DriverRow, ...] = ()
    files: tuple[FileRow, ...] = ()
    processes: tuple[ProcessRow, ...] = ()


class SlabCulprit(NamedTuple):
    """A process that had kernel objects allocated, and in which system call."""

    tgid: int
    comm: str | None
    syscall: str | None
    bytes: int
    objects: int = 0


class SlabRow(NamedTuple):
    """Kernel objects of one cache; `bytes` as the kernel charges them. `culprits` None: not known.

    `cache` is the kernel's name for it, "large kmalloc" for allocations too large for a slab.
    """

    cache: str
    objects: int
    bytes: int
    reclaimable: bool
    culprits: tuple[SlabCulprit, ...] | None = None


@dataclass(frozen=True, slots=True)
class Slab:
    """Kernel memory that somebody himself (not hierarchical) held at the last census.

    `rows` are all caches. Pages that the kernel charges whole are no slab: those of page
    tables (None: this kernel does not tell them from other ones), and all others, such as
    kernel stacks, pipes and vmalloc.
    """

    rows: tuple[SlabRow, ...] = ()
    page_table_bytes: int | None = 0
    other_page_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Census:
    """The last census of kernel memory: when, what it cost, and what belongs to no cgroup.

    `age_seconds` None: none was taken, `reason` says why it failed. `longest_seconds` is the
    most CPU time spent without a pause. `slab_bytes` are the pages of all slabs, free places
    included; `nobody` is what no cgroup pays for; `lost_bytes` found no row or no cgroup;
    `odd_slabs` changed while they were being read.
    """

    age_seconds: float | None = None
    cost_seconds: float | None = None
    longest_seconds: float | None = None
    slab_bytes: int = 0
    nobody: Slab = Slab()
    lost_bytes: int = 0
    odd_slabs: int = 0
    reason: str = ""


class SlabCulpritRow(NamedTuple):
    """This process had so many kernel objects allocated from a slab cache in this system call.

    Counted while allocations are watched; what was freed since is not subtracted. `tgid` 0
    stands for several processes of one name. `syscall` as in DriverRow.
    """

    cache: str
    tgid: int
    start: int
    comm: str | None
    syscall: str | None
    objects: int
    bytes: int
    recent_bytes: int = 0  # of these, since the sample before


@dataclass(frozen=True, slots=True)
class SlabCulprits:
    """Who had reclaimable kernel objects allocated at one cgroup's own expense (local).

    `rows` are the largest; all allocations together are `allocated_bytes`.
    `unwatched_bytes` is what the kernel's hierarchical figure was at memtrace's first look, and
    its growth while nobody watched: that has no culprit. None: the kernel gives no figure.
    """

    rows: tuple[SlabCulpritRow, ...] = ()
    allocated_bytes: int = 0
    unwatched_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class SlabWatch:
    """Whether allocations of kernel objects are watched now, and since when they ever were.

    `since` is in seconds since the epoch, None: never so far.
    """

    armed: bool = False
    since: float | None = None


class StackRow(NamedTuple):
    """Code of a process from which pages entered one cgroup's cache (local), by sampled stacks.

    `bytes` is estimated from `samples`, since somebody watches. `frames` are functions, the
    innermost first, "" where a name is not known; `function` says it in short.
    """

    tgid: int
    start: int
    comm: str | None
    kind: str
    function: str | None
    frames: tuple[str, ...]
    bytes: int
    samples: int


class GoHeap(NamedTuple):
    """What a Go runtime held at one moment by its own books (runtime.gcController), in bytes.

    Named as in runtime/metrics and runtime.MemStats: live objects (those the last cycle marked
    and all since), spans in use, idle spans with those released to the system, and the goal,
    which live heap may exceed until the next cycle ends. `mapped_bytes` is what the runtime holds
    ready, which GOMEMLIMIT is compared with; never touched pages of it are no part of RSS.
    `gogc` in percent, -1: off; `gomemlimit_bytes` None: none. `gc_cycles` are collections begun
    and `allocated_bytes` what was allocated since the process began.
    """

    gogc: int
    gomemlimit_bytes: int | None
    gomaxprocs: int | None
    heap_live_bytes: int
    heap_in_use_bytes: int
    heap_idle_bytes: int
    heap_released_bytes: int
    heap_goal_bytes: int
    mapped_bytes: int
    allocated_bytes: int
    gc_cycles: int | None = None


class GoCycles(NamedTuple):
    """Garbage collections of a process since memtrace follows them, cumulative.

    `forced` were asked for (runtime.GC), `periodic` came after two minutes without one.
    Pauses are those in which the world stood still, two in each cycle. `cpu_seconds` is CPU time
    of marking, that of assisting goroutines (`assist_seconds`) included. `marked_bytes` is what
    the last cycle found live.
    """

    cycles: int = 0
    forced: int = 0
    periodic: int = 0
    pause_seconds: float = 0.0
    longest_pause_seconds: float = 0.0
    cpu_seconds: float | None = 0.0
    assist_seconds: float | None = 0.0
    marked_bytes: int | None = None


class GoCollected(NamedTuple):
    """Collections in one cgroup (local) since memtrace follows them, ended processes included.

    `pauses` counts those in which the world stood still by the first of PAUSE_BOUNDS that they
    do not exceed, the last count is of longer ones. `cpu_seconds` as in GoCycles.
    """

    pauses: tuple[int, ...]
    pause_seconds: float
    cycles: int
    cpu_seconds: float | None


@dataclass(frozen=True, slots=True)
class GoProcess:
    """One Go process of a cgroup (local), told from its binary and its memory, from outside.

    `state`: go, or what keeps its heap from being told, in which case `reason` is a
    sentence. `heap` is None then; `age_seconds` is how old it is at most: a process in which
    nothing moves is not read for each sample. `gc` None: its cycles are not counted. `debug` are
    the settings that were built in (DefaultGODEBUG). `cpu_quota` in CPUs, None: no quota.
    """

    pid: int
    start: int
    comm: str | None
    state: str
    reason: str = ""
    version: str | None = None
    main: str | None = None
    stripped: bool | None = None
    debug: str | None = None
    cpu_quota: float | None = None
    heap: GoHeap | None = None
    age_seconds: float = 0.0
    gc: GoCycles | None = None


class HeapFunction(NamedTuple):
    """What functions hold of a Go heap, estimated from samples: `bytes` in `objects`.

    `function`: the innermost of the program's own, None where nothing tells; `frames` are those
    of the stack that holds most of it, the innermost first, "" where one has no name.
    """

    function: str | None
    frames: tuple[str, ...]
    bytes: int
    objects: int


class GoHeapFunctions(NamedTuple):
    """Who holds a Go heap, the largest first, and what all others hold together.

    `rows` and `other_bytes` are None where it is not known. `reason`: why not, or what is
    left out; empty otherwise.
    """

    rows: tuple[HeapFunction, ...] | None = None
    other_bytes: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CgroupSample:
    """One memory cgroup at one moment. `path` starts with / inside the memory hierarchy.

    `parent_id` is None for the root. `state`: running or removed. `memory` is None when
    the cgroup is removed or its files vanished mid-read.
    """

    cgroup_id: int
    parent_id: int | None
    path: str
    identity: Identity
    state: str
    memory: Memory | None
    ledger: Ledger
    slab: Slab | None = None  # None: no census was taken, or the cgroup came after it
    culprits: SlabCulprits = SlabCulprits()
    go: tuple[GoProcess, ...] | None = None  # None: nobody looked
    stacks: tuple[StackRow, ...] | None = None  # the largest; None: not watched
    collected: GoCollected | None = None  # None: no collection was told


@dataclass(frozen=True, slots=True)
class Swap:
    """The machine's swap areas together, in bytes; both 0 where there is none."""

    total_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class BaselineState:
    """How the starting point was obtained: off, walking, settling, done or unavailable."""

    state: str = "off"
    reason: str = ""
    age_seconds: float | None = None
    cost_seconds: float | None = None
    files: int | None = None
    bytes: int | None = None
    unsettled_files: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """Everything read at one moment. `monotonic` (seconds) is for rates, `time` for people."""

    time: float
    monotonic: float
    node: str
    cgroup_mode: str  # v1 | v2 | hybrid
    engine: str
    cgroups: tuple[CgroupSample, ...]
    lost: Lost = Lost()
    features: dict[str, Feature] = field(default_factory=dict)
    baseline: BaselineState = BaselineState()
    cpus: int | None = None  # online CPUs: how far memory.stat may lag behind
    page_bytes: int = 4096
    swap: Swap | None = None
    census: Census = Census()
    slab_watch: SlabWatch = SlabWatch()
    machine_bytes: int | None = None  # memory of the whole machine (MemTotal)
    machine_free_bytes: int | None = None  # of that, what nothing uses (MemFree)
