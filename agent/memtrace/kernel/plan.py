"""From facts about this kernel to what will be attached, what is lost without it, and why.

Decides only; session.py acts. A missing required feature is an error of its own
(`Plan.blockers`), a missing optional one costs one named feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from memtrace.kernel.go_plan import COOKIE, UPROBE_MULTI, UPROBES
from memtrace.kernel.support import KernelFacts, Questions
from memtrace.samples import Feature

ON_DEMAND: dict[str, tuple[str, ...]] = {
    "touchers": ("mm_filemap_get_pages", "mm_filemap_map_pages", "mm_filemap_fault"),
    "dirtiers": ("writeback_dirty_folio", "writeback_dirty_page"),
    "refaults": ("mod_memcg_lruvec_state",),
}
"""What is attached only while asked for, and the tracepoints it can use: any of them will do."""
_BESIDES = {"touchers": ("page_fault_user", "page_fault_kernel", "rss_stat")}
"""Besides: where a fault is, and that it mapped a folio as large as a page table."""
STACKS = "stacks"
"""Attached on demand, too: it has the page cache's own event, so is never without."""
_WITHOUT = {
    "touchers": "who else uses a container's cache is not known",
    "dirtiers": "who dirties a container's cache is not known",
    "refaults": "refaults are known per container, not by file",
    STACKS: "the code that makes a container's cache grow is not known",
}
SLAB_CACHE = ("kmem_cache_alloc", "kmem_cache")
"""The event that names who has kernel objects allocated, and the argument that names the cache."""

SLAB_MARKS = (("pagetype", "PGTY_slab"), ("pageflags", "PG_slab"))
"""How the kernel may mark the pages of its slabs: since Linux 6.12, and before 6.10."""

QUESTIONS = Questions(
    tracepoints=(
        "mm_filemap_add_to_page_cache",
        "mm_filemap_delete_from_page_cache",
        "mm_lru_insertion",
        "cgroup_mkdir",
        "cgroup_rmdir",
        "cgroup_release",
        "sched_process_exec",
        "sched_process_exit",
        *(name for names in (*ON_DEMAND.values(), *_BESIDES.values()) for name in names),
        "kmem_cache_alloc",
        "mark_victim",
        "signal_generate",
    ),
    arguments=(SLAB_CACHE,),
    members=(
        ("mem_cgroup", "css"),
        ("kernfs_node", "id"),
        ("folio", "memcg_data"),
        ("folio", "_nr_pages"),
        ("folio", "_folio_nr_pages"),
        ("page", "mapping"),
        ("page", "compound_nr"),
        ("page", "memcg_data"),
        ("page", "mem_cgroup"),
        ("task_struct", "stack"),
        ("mem_cgroup", "vmstats_local"),
        ("mem_cgroup_per_node", "objcg"),
        ("mem_cgroup", "vmstats"),
        UPROBES,
        # What BCC may name (MT_HAS in engine.h), besides.
        ("dentry", "d_u"),
        ("kernfs_node", "parent"),
        ("kernfs_node", "__parent"),
        ("mem_cgroup", "kmem"),
        ("mm_rss_stat", "count"),
        ("task_io_accounting", "read_bytes"),
    ),
    enums=(
        ("pageflags", "PG_head"),
        ("cgroup_subsys_id", "memory_cgrp_id"),
        *SLAB_MARKS,
        UPROBE_MULTI,
    ),
    helpers=(
        *("loop", "get_current_task_btf", "task_pt_regs", "ringbuf_query"),
        COOKIE,
    ),
    offsets=(("btrfs_inode", "vfs_inode"), ("btrfs_inode", "root"), ("btrfs_root", "anon_dev")),
    # What the walk reads at addresses the verifier knows nothing of: it refuses a wrong place
    # everywhere else.
    layout=(
        ("file", "f_inode"),
        ("super_block", "s_list"),
        ("super_block", "s_inodes"),
        ("super_block", "s_magic"),
        ("inode", "i_sb"),
        ("inode", "i_sb_list"),
        ("inode", "i_mapping"),
        ("address_space", "i_pages"),
        ("address_space", "nrpages"),
        ("xarray", "xa_head"),
        ("xa_node", "shift"),
        ("xa_node", "slots"),
    ),
    modules=("btrfs",),
)

SLAB_CENSUS = "slab_census"
# Members without which nothing can be followed; the second where folios are read as pages.
ALWAYS_NEEDED = (("mem_cgroup", "css"), ("kernfs_node", "id"))
PAGES_NEED = (("page", "mapping"), ("page", "compound_nr"), ("task_struct", "stack"))
# memory.stat's own, for good before Linux 2d146aa3aa84 ("mm: memcontrol: switch to rstat") (v5.13),
# which removed vmstats_local.
MEMCG_CHARGE_BATCH = 32
PAGE_CACHE_EVENTS = ("mm_filemap_add_to_page_cache", "mm_filemap_delete_from_page_cache")
CGROUP_EVENTS = ("cgroup_mkdir", "cgroup_rmdir", "cgroup_release")
PROCESS_EVENTS = ("sched_process_exec", "sched_process_exit")


_VICTIM_IS_A_TASK = 2  # arguments: task, uid
_COUNTED_ONLY = "kills for want of memory are known from counters alone, without victim and cause"


@dataclass(frozen=True, slots=True)
class OnDemand:
    """What one thing to watch would attach here: programs by name; none: `missing` says why."""

    programs: tuple[str, ...]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to load. `subvolumes`: where btrfs keeps a subvolume's device, as in device.h.

    `reparents`: a removed cgroup's pages are charged to its parent from then on.
    `pages`: load the programs for kernels whose events tell pages (*_pages.bpf.o).
    `stat_lag`: pages that each CPU keeps out of a cgroup's memory.stat for good.
    """

    shmem: bool
    baseline: bool
    cgroup_events: bool
    process_events: bool
    features: dict[str, Feature]
    blockers: tuple[str, ...]
    subvolumes: tuple[int, int] = (0, 0)
    on_demand: Mapping[str, OnDemand] = field(default_factory=dict)
    reparents: bool = False
    pages: bool = False
    stat_lag: int = 0

    @property
    def page_cache(self) -> str:
        """The object that every session has."""
        return f"page_cache{'_pages' if self.pages else ''}"

    @property
    def slab_culprits(self) -> bool:
        """Whether allocations of kernel objects can be watched, when somebody wants to."""
        return self.features["slab_culprits"].enabled


def make_plan(facts: KernelFacts) -> Plan:
    """Choose programs for a kernel. Never raises: what cannot be is in `blockers`."""
    blockers = _blockers(facts)
    if blockers:
        return Plan(False, False, False, False, _all_off(blockers[0]), blockers)
    pages = not _tells_folios(facts)
    stat_lag = MEMCG_CHARGE_BATCH if facts.has_member("mem_cgroup", "vmstats_local") else 0
    shmem = _has(facts, "mm_lru_insertion")
    cgroup_events = _have(facts, CGROUP_EVENTS)
    process_events = _have(facts, PROCESS_EVENTS)
    unwalked = _why_not_walked(facts, pages)
    baseline = not unwalked
    features = {
        "page_cache": _page_cache_feature(stat_lag),
        "shmem": _shmem_feature(shmem, baseline),
        "baseline": _baseline_feature(unwalked),
        "cgroup_events": _events_feature(
            cgroup_events, "removed cgroups are noticed by a walk every 20 s only"
        ),
        "process_events": _events_feature(
            process_events, "a process that changes its name by exec keeps its first one"
        ),
        SLAB_CENSUS: _census_feature(facts),
        "slab_culprits": _slab_feature(facts),
    }
    return Plan(
        shmem,
        baseline,
        cgroup_events,
        process_events,
        features,
        (),
        _subvolumes(facts),
        {
            **{name: _on_demand(name, facts, events, pages) for name, events in ON_DEMAND.items()},
            STACKS: _on_demand(STACKS, facts, PAGE_CACHE_EVENTS[:1], pages),
        },
        reparents=bool(facts.has_member("mem_cgroup_per_node", "objcg")),
        pages=pages,
        stat_lag=stat_lag,
    )


def _on_demand(
    name: str, facts: KernelFacts, tracepoints: tuple[str, ...], pages: bool
) -> OnDemand:
    if pages:
        return OnDemand((), f"not on kernels before 6.1: {_WITHOUT[name]}")
    there = [event for event in tracepoints if _has(facts, event)]
    if there:
        there += [event for event in _BESIDES.get(name, ()) if _has(facts, event)]
        return OnDemand(tuple(f"on_{event}" for event in there))
    lacking = f"this kernel has no tracepoint {' or '.join(tracepoints)}"
    return OnDemand((), f"{lacking}: {_WITHOUT[name]}")


def oom_feature(facts: KernelFacts) -> Feature:
    """Whether kills for want of memory can be told at the moment they happen."""
    if not facts.btf:
        return Feature(False, f"this kernel has no readable type information: {facts.btf_problem}")
    if facts.tracepoint_params("mark_victim") != _VICTIM_IS_A_TASK:
        return Feature(
            False,
            f"this kernel's tracepoint mark_victim tells a number only: {_COUNTED_ONLY}",
        )
    lacking = [name for name in ("loop", "task_pt_regs") if not facts.has_helper(name)]
    lacking += [] if _has(facts, "signal_generate") else ["signal_generate"]
    if lacking or not facts.has_member("mem_cgroup", "vmstats"):
        what = ", ".join(lacking) or "mem_cgroup.vmstats"
        return Feature(False, f"this kernel lacks {what}: {_COUNTED_ONLY}")
    return Feature(True)


def _blockers(facts: KernelFacts) -> tuple[str, ...]:
    if not facts.btf:
        return (
            "the libbpf engine needs the kernel's types (/sys/kernel/btf/vmlinux), which cannot be "
            f"used: {facts.btf_problem}",
        )
    found = [f"tracepoint {name} is missing" for name in PAGE_CACHE_EVENTS if not _has(facts, name)]
    needed = list(ALWAYS_NEEDED)
    if not _tells_folios(facts):
        needed += PAGES_NEED
        if not (facts.has_member("page", "memcg_data") or facts.has_member("page", "mem_cgroup")):
            found.append("neither struct folio nor struct page tells who pays for it")
    found += [
        f"struct {owner} has no member {member}"
        for owner, member in needed
        if not facts.has_member(owner, member)
    ]
    if not facts.has_helper("ringbuf_query"):
        found.append("BPF helper bpf_ringbuf_query is missing")
    found += [
        f"enum {enum} has no {name}"
        for enum, name in QUESTIONS.enums
        if facts.enum_value(enum, name) is None and (enum, name) not in (*SLAB_MARKS, UPROBE_MULTI)
    ]
    return tuple(found)


def _tells_folios(facts: KernelFacts) -> bool:
    """Whether the programs that need least work here: folios tell their size, types are known."""
    sized = any(facts.has_member("folio", name) for name in ("_nr_pages", "_folio_nr_pages"))
    helpers = ("get_current_task_btf", "task_pt_regs")
    return (
        sized
        and bool(facts.has_member("folio", "memcg_data"))
        and all(facts.has_helper(name) for name in helpers)
    )


def _why_not_walked(facts: KernelFacts, pages: bool) -> str:
    """Why there can be no walk of what is cached; empty when there can."""
    if not facts.has_helper("loop"):
        return "this kernel has no bpf_loop (before 5.17)"
    if pages:
        return "this kernel's folios do not tell their size (before 6.1)"
    return next((f"struct {owner} has no member {name}" for owner, name in facts.unplaced()), "")


def _page_cache_feature(stat_lag: int) -> Feature:
    if not stat_lag:
        return Feature(True, "exact")
    return Feature(
        True,
        "exact; the kernel's memory.stat, which it is compared with, stays up to "
        f"{stat_lag} pages per CPU and cgroup behind (before 5.13)",
    )


def _subvolumes(facts: KernelFacts) -> tuple[int, int]:
    inode, root, device = (facts.offset(*pair) for pair in QUESTIONS.offsets)
    if inode is None or root is None or device is None or inode < root:
        return 0, 0
    return inode - root, device


def _all_off(reason: str) -> dict[str, Feature]:
    names = (
        "page_cache",
        "shmem",
        "baseline",
        "cgroup_events",
        "process_events",
        SLAB_CENSUS,
        "slab_culprits",
    )
    return {name: Feature(False, reason) for name in names}


def _has(facts: KernelFacts, tracepoint: str) -> bool:
    return facts.tracepoint_params(tracepoint) is not None


def _have(facts: KernelFacts, tracepoints: tuple[str, ...]) -> bool:
    return all(_has(facts, name) for name in tracepoints)


def _shmem_feature(traced: bool, walked: bool) -> Feature:
    if not traced:
        return Feature(False, "no tracepoint tells when tmpfs or shared memory grows")
    if not walked:
        return Feature(
            True,
            "partial: up to 31 pages per CPU late until quiet; files deleted meanwhile count as "
            "removed only; no walk to correct it",
        )
    return Feature(True, "exact once quiet (walk of tmpfs); up to 31 pages per CPU late until then")


def _baseline_feature(unwalked: str) -> Feature:
    if not unwalked:
        return Feature(True, "exact: walk of all superblocks")
    return Feature(
        False,
        f"{unwalked}: what was cached before memtrace started is unknown, only growth is shown",
    )


def _census_feature(facts: KernelFacts) -> Feature:
    if not facts.has_helper("loop"):
        return Feature(False, "this kernel has no bpf_loop (before 5.17): no walk over its slabs")
    if all(facts.enum_value(*mark) is None for mark in SLAB_MARKS):
        return Feature(False, "it is not known how this kernel marks the pages of its slabs")
    return Feature(True, "on request: every object of every slab cache, by who pays for it")


def _events_feature(available: bool, cost: str) -> Feature:
    return Feature(True) if available else Feature(False, f"tracepoints missing: {cost}")


def _slab_feature(facts: KernelFacts) -> Feature:
    """Linux 6.1 gave the event its arguments of today: call site, object, cache, flags, node.

    11e9734bcb6a ("mm/slab_common: unify NUMA and UMA version of tracepoints").
    """
    lost = "who makes kernel memory (dentries, inodes) grow is not known"
    if not _has(facts, SLAB_CACHE[0]):
        return Feature(False, f"no tracepoint kmem_cache_alloc: {lost}")
    if (facts.tracepoint_params(SLAB_CACHE[0]), facts.tracepoint_argument(*SLAB_CACHE)) != (5, 2):
        return Feature(False, f"kmem_cache_alloc does not tell the cache (before 6.1): {lost}")
    return Feature(True, "watched only while kernel memory grows, or on request")
