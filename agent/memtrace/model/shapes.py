"""What a Snapshot is made of: immutable rows for views to draw. Computes nothing.

Amounts are bytes, None is unknown. Every figure of a Container is hierarchical:
itself and all cgroups below it. Rows point at the sample's own rows for names, so a
snapshot costs little more memory than the sample it came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from memtrace.model.go_shapes import GoTable
from memtrace.model.slab_culprits import Culprits
from memtrace.model.stacks import StackTable
from memtrace.samples import (
    BaselineState,
    Census,
    CgroupSample,
    DriverRow,
    Feature,
    FileRow,
    Lost,
    ProcessRow,
    SlabRow,
    SlabWatch,
    Swap,
)


class MemoryFigures(NamedTuple):
    """The kernel's figures and what follows from them; fields.MEMORY says what each means."""

    limit_bytes: int | None = None
    limit_cgroup: str | None = None
    usage_bytes: int | None = None
    working_set_bytes: int | None = None
    anon_bytes: int | None = None
    file_bytes: int | None = None
    shmem_bytes: int | None = None
    kernel_bytes: int | None = None
    slab_bytes: int | None = None
    swap_bytes: int | None = None
    swap_limit_bytes: int | None = None
    sock_bytes: int | None = None
    kernel_stack_bytes: int | None = None
    page_table_bytes: int | None = None
    percpu_bytes: int | None = None
    hugetlb_bytes: int | None = None
    unexplained_bytes: int | None = None


class WorkingSet(NamedTuple):
    """What the kubelet counts, and what reclaim could take; fields.WORKING_SET says what each is.

    `rss_bytes` is anonymous memory, as the kubelet calls it.
    """

    usage_bytes: int | None = None
    working_set_bytes: int | None = None
    active_file_bytes: int | None = None
    reclaimable_slab_bytes: int | None = None
    rss_bytes: int | None = None
    reclaimable_file_bytes: int | None = None
    reclaimable_bytes: int | None = None


class PageCache(NamedTuple):
    """The ledger against the kernel's figure; fields.PAGE_CACHE says what each means."""

    attributed_bytes: int | None
    unattributed_bytes: int | None
    baseline_bytes: int | None
    added_bytes: int
    removed_bytes: int
    clean_bytes: int | None = None
    dirty_bytes: int | None = None
    writeback_bytes: int | None = None
    refaulted_bytes: int | None = None
    attributed_delta_bytes: int | None = None
    unattributed_delta_bytes: int | None = None
    baseline_delta_bytes: int | None = None
    added_delta_bytes: int | None = None
    removed_delta_bytes: int | None = None
    clean_delta_bytes: int | None = None
    dirty_delta_bytes: int | None = None
    writeback_delta_bytes: int | None = None
    refaulted_delta_bytes: int | None = None


class Driver(NamedTuple):
    """This process put `added_bytes` of this file in, this way."""

    row: DriverRow
    added_bytes: int
    added_delta_bytes: int | None


class File(NamedTuple):
    """One file's share of the cache; `resident_bytes` is never negative.

    `charged_to` is the path of the cgroup that pays for it, of several the one that pays most.
    """

    row: FileRow
    resident_bytes: int | None
    baseline_bytes: int | None
    added_bytes: int
    removed_bytes: int
    charged_to: str


class Process(NamedTuple):
    """One process' additions."""

    row: ProcessRow
    added_bytes: int


class Rows(NamedTuple):
    """The largest rows of each list and what the rest of each list amounts to.

    `files_other_bytes` is None while the attributed total is unknown. `cause` is the
    driver behind the latest growth, which need not be among the largest.
    """

    drivers: tuple[Driver, ...]
    drivers_other_bytes: int
    files: tuple[File, ...]
    files_other_bytes: int | None
    processes: tuple[Process, ...]
    processes_other_bytes: int
    cause: Driver | None


class SlabFigures(NamedTuple):
    """What was held of kernel memory at the last census; `rows` are all, the largest first.

    `bytes` and `objects` are of all rows. `kernel_bytes` is the figure of the kernel that is
    compared, now: slab on v2, all kernel memory on v1, where pages charged whole belong to it.
    `unattributed_bytes` is what it has besides (signed).
    """

    rows: tuple[SlabRow, ...]
    bytes: int
    objects: int
    reclaimable_bytes: int
    page_table_bytes: int | None
    other_page_bytes: int
    kernel_bytes: int | None
    unattributed_bytes: int | None


class Evidence(NamedTuple):
    """One number a verdict rests on."""

    text: str
    value: float | str | None
    unit: str


class Advice(NamedTuple):
    """One change, with this container's own numbers; `setting` "nothing" is advice too.

    `paste`: what to put where the container is configured, or to run; empty where it depends.
    """

    setting: str
    current: int | str | None
    proposed: int | str | None
    why: str
    cost: str
    paste: str = ""


class Verdict(NamedTuple):
    """What the figures mean, how sure that is, and what to do about it."""

    id: str
    claim: str
    severity: str
    confidence: float
    bytes: int | None
    evidence: tuple[Evidence, ...] = ()
    advice: tuple[Advice, ...] = ()
    others: tuple[str, ...] = ()


class Container(NamedTuple):
    """One memory cgroup. `added` and its deltas follow KINDS, `removed` follows REASONS."""

    source: CgroupSample
    leaf: bool
    memory: MemoryFigures
    working_set: WorkingSet
    page_cache: PageCache
    usage_delta_bytes: int | None
    file_delta_bytes: int | None
    added: tuple[int, ...]
    added_deltas: tuple[int | None, ...]
    removed: tuple[int, ...]
    rows: Rows
    verdict: Verdict
    slab: SlabFigures | None = None
    culprits: Culprits = Culprits()
    go: GoTable | None = None
    stacks: StackTable | None = None


class Snapshot(NamedTuple):
    """Everything views need about one moment and the interval before it."""

    time: float
    interval_seconds: float | None
    node: str
    cgroup_mode: str
    engine: str
    lost: Lost
    features: Mapping[str, Feature]
    baseline: BaselineState
    containers: tuple[Container, ...]
    swap: Swap | None
    census: Census = Census()
    slab_watch: SlabWatch = SlabWatch()
