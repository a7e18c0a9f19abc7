"""What wire.py must say about wire.h: which C members each piece of a format stands for.

Used by the test that reads the header's text and by the one that asks the compiler.
"""

from __future__ import annotations

import re
from struct import Struct, calcsize
from typing import NamedTuple

from memtrace.kernel import wire
from memtrace.samples import KINDS, REASONS

FILE = ("inode", "device", "generation")
PROCESS = ("tgid", "start")
OOM_AMOUNTS = (
    *("cgroup", "file", "anon", "swap", "shmem", "peak", "total_vm"),
    *("page_table_bytes", "maxrss", "read_bytes", "write_bytes"),
)
OOM_CAUSE = ("gfp_mask", "order", "levels", "path_bytes")
GO_AMOUNTS = (
    *("begun_ns", "ended_ns", "first_pause_ns", "last_pause_ns", "marked_bytes"),
    *("assist_ns", "dedicated_ns", "fractional_ns", "idle_ns"),
)
WALK = ("fd flags index found", "inodes files pages full", "restarts torn device magic")
CENSUS = ("vmemmap page end nanoseconds slab_pages full", "odd", "holes")
FIND_PAGE = ("fd", "struct_bytes", "address", "page_types")

# struct: (its mirror, the C members behind each piece of the format; padding is left out).
MIRRORS: dict[str, tuple[Struct, tuple[tuple[str, ...], ...]]] = {
    "mt_ledger_key": (wire.LEDGER_KEY, (("cgroup",), FILE, PROCESS, ("kind",))),
    "mt_ledger_value": (wire.LEDGER_VALUE, (("pages",), ("syscall",), ("compat",))),
    "mt_total": (wire.TOTAL, (("added",), ("removed",), ("overflow_added", "overflow_removed"))),
    "mt_control": (wire.CONTROL, (("epoch",),)),
    "mt_path_event": (
        wire.PATH_EVENT,
        (("type",), ("flags",), FILE, ("links", "mode", "magic", "bytes", "superblock")),
    ),
    "mt_task_event": (wire.TASK_EVENT, (("type",), PROCESS, ("comm",))),
    "mt_exit_event": (
        wire.EXIT_EVENT,
        (("type",), PROCESS, ("peak_pages", "read_bytes", "write_bytes")),
    ),
    "mt_cgroup_event": (wire.CGROUP_EVENT, (("type",), ("bytes",), ("id",), ("parent",))),
    "mt_baseline_key": (wire.BASELINE_KEY, (("cgroup",), FILE)),
    "mt_baseline_value": (wire.BASELINE_VALUE, (("pages",), ("visit",), ("shmem",))),
    "mt_use_key": (wire.USE_KEY, (("payer",), FILE, ("user",), PROCESS)),
    "mt_file": (wire.FILE, (("inode",), ("device",), ("generation",))),
    "mt_holding_key": (wire.HOLDING_KEY, (("cgroup",), ("cache",))),
    "mt_holding": (wire.HOLDING, (("objects",), ("bytes",))),
    "mt_cache": (wire.CACHE, (("pages",), ("size",), ("reclaimable",), ("name",))),
    "mt_census": (wire.CENSUS, tuple(tuple(group.split()) for group in CENSUS)),
    "mt_find_page": (wire.FIND_PAGE, tuple(tuple(group.split()) for group in FIND_PAGE)),
    "mt_slab_key": (wire.SLAB_KEY, (("cgroup",), ("cache",), PROCESS, ("syscall",), ("compat",))),
    "mt_slab_cache": (wire.SLAB_CACHE, (("bytes",), ("name",))),
    "mt_oom_kill": (
        wire.OOM_KILL,
        (("how",), ("member",), ("group",), ("killer",), ("boot_ns",)),
    ),
    "mt_oom_task": (
        wire.OOM_TASK,
        (("pid", "tgid", "start", "uid"), ("oom_score_adj",), OOM_AMOUNTS, ("comm",)),
    ),
    "mt_go_controller": (wire.GO_CONTROLLER, (("address", "start_ticks"),)),
    "mt_oom_go": (wire.OOM_GO, (("state",), ("block",))),
    "mt_oom_cause": (
        wire.OOM_CAUSE,
        (("cgroup", "total_pages"), *((name,) for name in OOM_CAUSE), ("state",)),
    ),
    "mt_oom_level": (
        wire.OOM_LEVEL,
        (("cgroup", "usage", "limit", "swap", "swap_limit", "kernel"),),
    ),
    "mt_stack_key": (wire.STACK_KEY, (("cgroup",), FILE, PROCESS, ("kind",), ("pcs",))),
    "mt_stack_value": (wire.STACK_VALUE, (("pages", "samples", "text"),)),
    "mt_go_times": (wire.GO_TIMES, (("assist", "dedicated", "fractional", "idle"),)),
    "mt_go_cycle": (
        wire.GO_CYCLE,
        (PROCESS, ("cgroup", *GO_AMOUNTS, "controller"), ("trigger", "procs", "binary")),
    ),
    "mt_walk": (wire.WALK, tuple(tuple(group.split()) for group in WALK)),
}

# Numbers with a name on both sides. KINDS and REASONS are names in samples.py.
NUMBERS: dict[str, int] = {
    "MT_COMM_BYTES": wire.COMM_BYTES,
    "MT_PATH_BYTES": wire.PATH_BYTES,
    "MT_CACHE_NAME_BYTES": wire.CACHE_NAME_BYTES,
    "MT_LARGE_KMALLOC": wire.LARGE_KMALLOC,
    "MT_PAGE_TABLES": wire.PAGE_TABLES,
    "MT_OTHER_PAGES": wire.OTHER_PAGES,
    "MT_SLAB_ROWS": wire.SLAB_ROWS,
    "MT_STACK_DEPTH": wire.STACK_DEPTH,
    "MT_GO_STOP": wire.GO_STOP,
    "MT_GO_BEGIN": wire.GO_BEGIN,
    "MT_GO_END": wire.GO_END,
    "MT_GO_RESET": wire.GO_RESET,
    "MT_GO_FINISH": wire.GO_FINISH,
    "MT_GO_POINTS": wire.GO_FINISH + 1,
    "MT_GO_POINT_BITS": wire.GO_POINT_BITS,
    "MT_GO_POINT_MASK": (1 << wire.GO_POINT_BITS) - 1,
    "MT_GO_LOST_RING": wire.GO_LOST_RING,
    "MT_GO_LOST_PROCESS": wire.GO_LOST_PROCESS,
    "MT_GO_LOSSES": wire.GO_LOST_PROCESS + 1,
    "MT_KINDS": wire.KIND_NUMBERS,
    "MT_REASONS": wire.REASON_NUMBERS,
    "MT_REMOVED": wire.REMOVED,
    "MT_LOST_RING": wire.LOSS_RING,
    "MT_LOST_NAMES": wire.LOSS_NAMES,
    "MT_LOST_LEDGER_PAGES": wire.LOSS_LEDGER_PAGES,
    "MT_LOST_TOTAL_PAGES": wire.LOSS_TOTAL_PAGES,
    "MT_LOST_NO_CGROUP": wire.LOSS_NO_CGROUP,
    "MT_LOST_OWNERS": wire.LOSS_OWNERS,
    "MT_LOST_SLAB_BYTES": wire.LOSS_SLAB_BYTES,
    "MT_LOSSES": wire.LOSSES,
    "MT_EVENT_PATH": wire.EVENT_PATH,
    "MT_EVENT_TASK": wire.EVENT_TASK,
    "MT_EVENT_EXIT": wire.EVENT_EXIT,
    "MT_EVENT_CGROUP_MKDIR": wire.EVENT_MKDIR,
    "MT_EVENT_CGROUP_RMDIR": wire.EVENT_RMDIR,
    "MT_EVENT_CGROUP_RELEASE": wire.EVENT_RELEASE,
    "MT_PATH_TRUNCATED": wire.PATH_TRUNCATED,
    "MT_PATH_NONE": wire.PATH_NONE,
    "MT_PATH_PSEUDO": wire.PATH_PSEUDO,
    "MT_WALK_WANTED": wire.WALK_WANTED,
    "MT_WALK_NAMES": wire.WALK_NAMES,
    "MT_WALK_COUNT": wire.WALK_COUNT,
    "MT_WALK_NOW": wire.WALK_NOW,
    **{f"MT_{kind.upper()}": number for number, kind in enumerate(KINDS)},
    **{f"MT_{reason.upper()}": number for number, reason in enumerate(REASONS)},
    # Both lists have an "other".
    "MT_OTHER": KINDS.index("other"),
    "MT_REASON_OTHER": REASONS.index("other"),
    "MT_NO_SYSCALL": wire.NO_SYSCALL,
    "MT_OOM_KERNEL": wire.OOM_KERNEL,
    "MT_OOM_CGROUP_KILL": wire.OOM_CGROUP_KILL,
    "MT_OOM_DAEMON": wire.OOM_DAEMON,
    "MT_OOM_GO_UNTOLD": wire.OOM_GO_UNTOLD,
    "MT_OOM_GO_READ": wire.OOM_GO_READ,
    "MT_OOM_GO_NOT_CURRENT": wire.OOM_GO_NOT_CURRENT,
    "MT_OOM_GO_UNREADABLE": wire.OOM_GO_UNREADABLE,
    "MT_OOM_GO_BYTES": wire.OOM_GO_BYTES,
    "MT_OOM_LEVELS": wire.OOM_LEVELS,
    "MT_OOM_STATES": wire.OOM_STATES,
    "MT_OOM_PATH_BYTES": wire.OOM_PATH_BYTES,
    "MT_NO_CGROUP": wire.NO_CGROUP,
}


class Member(NamedTuple):
    """One member of a C struct; bytes."""

    name: str
    offset: int
    size: int


def pieces(mirror: Struct) -> list[tuple[int, int]]:
    """(offset, size) of each piece of a format such as "<Q16s8sI4x", padding left out."""
    found, at = [], 0
    for count, letter in re.findall(r"(\d*)([a-zA-Z])", mirror.format):
        size = calcsize(f"<{count}{letter}")
        if letter != "x":
            found.append((at, size))
        at += size
    return found


def assert_mirrored(name: str, size: int, members: list[Member]) -> None:
    """The mirror's pieces lie where the C members lie, and the whole is as long."""
    mirror, groups = MIRRORS[name]
    by_name = {member.name: member for member in members}
    there = [
        (by_name[group[0]].offset, sum(by_name[member].size for member in group))
        for group in groups
    ]
    assert pieces(mirror) == there, name
    path = by_name.get("path")
    assert mirror.size == (path.offset if path else size), name
    named = {member for group in groups for member in group} | {"pad", "path"}
    assert set(by_name) <= named, f"{name} has members that wire.py does not know"
