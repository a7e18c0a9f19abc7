"""The Python mirror of bpf/include/wire.h: layouts, numbers and names. No reading, no state.

The C header is the truth; a test compares sizes and offsets with the object's BTF.
Amounts are pages; `struct` formats are little-endian with the header's explicit padding.
"""

from __future__ import annotations

from struct import Struct

COMM_BYTES = 16
PATH_BYTES = 4096
CACHE_NAME_BYTES = 60

KIND_NUMBERS = 16
"""MT_KINDS, and MT_REMOVED: a ledger row's kind from here on is a removal's reason."""
REASON_NUMBERS = 8
REMOVED = KIND_NUMBERS

LEDGER_KEY = Struct("<Q16s8sI4x")
"""cgroup, file (a FILE), process (a PROCESS), kind."""
LEDGER_VALUE = Struct("<QiI")
"""pages, syscall (orig_ax; -1 page fault, -2 none), compat (1: ia32 number)."""
FILE = Struct("<QII")
"""inode, device, generation; also the key of `wanted` and `named_files`."""
PROCESS = Struct("<II")
"""tgid, start (the leader's start_boottime >> 20, about milliseconds since boot)."""
TOTAL = Struct(f"<{KIND_NUMBERS}Q{REASON_NUMBERS}Q2Q")
"""added by kind, removed by reason, overflow added, overflow removed."""
CONTROL = Struct("<I4x")
"""epoch."""
BASELINE_KEY = Struct("<Q16s")
"""cgroup, file."""
BASELINE_VALUE = Struct("<QII")
"""pages, visit, shmem."""
USE_KEY = Struct("<Q16sQ8s")
"""payer (a cgroup), file, user (a cgroup), process; the value is pages, u64."""

STACK_DEPTH = 48
STACK_KEY = Struct(f"<Q16s8sI4x{STACK_DEPTH * 8}s")
"""A LEDGER_KEY, and program counters (zeros at the end)."""
STACK_VALUE = Struct("<3Q")
"""pages, samples, start of the program's code."""

LOSS_RING, LOSS_NAMES, LOSS_LEDGER_PAGES, LOSS_TOTAL_PAGES = range(4)
LOSS_NO_CGROUP, LOSS_OWNERS, LOSS_SLAB_BYTES = range(4, 7)
LOSSES = 8

EVENT_PATH, EVENT_TASK, EVENT_EXIT, EVENT_MKDIR, EVENT_RMDIR, EVENT_RELEASE = range(1, 7)
EVENT_TYPE = Struct("<I")
PATH_EVENT = Struct("<II16s5I4x")
"""type, flags, file, links, mode, magic, used bytes of the path that follows, superblock."""
TASK_EVENT = Struct(f"<I8s4x{COMM_BYTES}s")
"""type, process, comm."""
EXIT_EVENT = Struct("<I8s4x3Q")
"""type, process, peak pages, bytes read from disk, bytes written."""
UNTOLD = (1 << 64) - 1
CGROUP_EVENT = Struct("<IIQQ")
"""type, used bytes of the path that follows, id, parent's id."""

PATH_TRUNCATED = 1
PATH_NONE = 2
PATH_PSEUDO = 4

WALK_WANTED, WALK_NAMES, WALK_COUNT, WALK_NOW = 1, 2, 4, 8
WALK = Struct("<4I4Q4I")
"""fd, flags, index, found, inodes, files, pages, full, restarts, torn, device, magic."""

SLAB_KEY = Struct("<QQ8siI")
"""cgroup, cache (an address), process (a PROCESS), syscall, compat; the value: u64 objects."""
SLAB_CACHE = Struct(f"<I{CACHE_NAME_BYTES}s")
"""bytes charged for one object, name; by the cache's address."""
SLAB_ROWS = 16384
OOM_KERNEL, OOM_CGROUP_KILL, OOM_DAEMON = range(1, 4)
OOM_KILL = Struct("<IIQQQ")
"""how, member, group, killer, boot_ns."""
OOM_TASK = Struct(f"<4Ii4x11Q{COMM_BYTES}s")
"""pid, tgid, start, uid, oom_score_adj, cgroup, amounts, comm."""
OOM_GO_UNTOLD, OOM_GO_READ, OOM_GO_NOT_CURRENT, OOM_GO_UNREADABLE = range(4)
OOM_GO_BYTES = 352
GO_CONTROLLER = Struct("<2Q")
"""address, start of the process in ticks of /proc/PID/stat."""
OOM_GO = Struct(f"<I4x{OOM_GO_BYTES}s")
"""state, the beginning of gcController."""
OOM_LEVELS, OOM_STATES, OOM_PATH_BYTES, NO_CGROUP = 16, 48, 1024, 0
OOM_CAUSE = Struct(f"<2QIiII{OOM_STATES}Q")
"""cgroup, total pages, gfp mask, order, levels, bytes of the path, state."""
OOM_LEVEL = Struct("<6Q")
"""cgroup; usage, limit, swap, its limit and kernel memory in pages."""

NO_PROCESS = bytes(PROCESS.size)
"""Whoever added these pages is not known: another task emptied the CPU's batch of folios."""
NO_SYSCALL = -2
TMPFS_MAGIC = 0x01021994
BDEVFS_MAGIC = 0x62646576
BTRFS_MAGIC = 0x9123683E

HOLDING_KEY = Struct("<QQ")
"""cgroup (0: nobody), cache (its address, or one of the numbers below)."""
HOLDING = Struct("<QQ")
"""objects, bytes."""
LARGE_KMALLOC, PAGE_TABLES, OTHER_PAGES = 1, 2, 3
CACHE = Struct(f"<QII{CACHE_NAME_BYTES}s4x")
"""pages, bytes of an object, reclaimable, name."""
CENSUS = Struct("<6QII")
"""vmemmap, page, end, nanoseconds, slab pages, full, odd, holes."""
FIND_PAGE = Struct("<IIQI4x")
"""fd, bytes of struct page, address, page types."""

GO_STOP, GO_BEGIN, GO_END, GO_RESET, GO_FINISH = range(5)
GO_POINT_BITS = 8
GO_LOST_RING, GO_LOST_PROCESS = range(2)
GO_TIMES = Struct("<4I")
"""Offsets in gcController: assist, dedicated, fractional, idle time; 0: not known."""
GO_CYCLE = Struct("<8s11Q3I4x")
"""process, cgroup, begun, ended, pauses, marked, four times, controller, trigger, procs, binary."""
