"""Kills for want of memory, as they were told: immutable, in bytes, without any judgement.

The vocabulary that collect/ (decodes what the kernel told) and model/ (makes a record of it)
share, beside samples.py. Holds no behaviour but sums. `None` is unknown, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from memtrace.samples import GoHeap

KERNEL, CGROUP_KILL, DAEMON, COUNTERS = "kernel", "cgroup.kill", "daemon", "counters"
"""Who told: the kernel's OOM killer, a write to cgroup.kill, a signal of a daemon known to
kill for memory, or (of kills while nobody watched) the kernel's counters alone."""

MACHINE, UNKNOWN = 0, None
"""`OomEvent.cgroup_id` of a machine that ran out of memory, and of what is not known."""


READ, NOT_CURRENT, UNREADABLE = "read", "not current", "unreadable"
"""`GoMemory.state`: `block` holds it; another process ran into the limit, so that the victim's
memory was not at hand; it was, but not in memory."""


@dataclass(frozen=True, slots=True)
class GoMemory:
    """How a Go program's gcController began at the moment of its kill; no bytes unless `READ`.

    `heap` is what the bytes say; None: not decoded, or they make no sense.
    """

    state: str
    block: bytes = b""
    heap: GoHeap | None = None


class KillTotal(NamedTuple):
    """Processes killed under one name since memtrace first kept count there.

    `whose`: namespace, pod, container and cgroup, each empty where it does not apply. `counts`
    by OomRecord `kill`. `last` (seconds since the epoch), `kill` and `cause` are of the latest.
    """

    whose: tuple[str, str, str, str]
    counts: Mapping[str, int]
    last: float
    kill: str
    cause: str


@dataclass(frozen=True, slots=True)
class OomTask:
    """One process at the moment of the kill.

    `start` tells processes of one pid apart (milliseconds since boot, about). `peak_bytes` is
    the peak of its program, `maxrss_bytes` getrusage's (threads that ended, programs before
    exec). Disk I/O is as in /proc/PID/io. Memory is None for a kernel thread. `go` is None of
    what is not known to be a Go program, and of who is no victim.
    """

    pid: int
    tgid: int
    start: int
    uid: int
    comm: str
    oom_score_adj: int
    cgroup_id: int | None
    anon_bytes: int | None = None
    file_bytes: int | None = None
    shmem_bytes: int | None = None
    swap_bytes: int | None = None
    peak_bytes: int | None = None
    virtual_bytes: int | None = None
    page_table_bytes: int | None = None
    maxrss_bytes: int | None = None
    disk_read_bytes: int | None = None
    disk_write_bytes: int | None = None
    go: GoMemory | None = None

    @property
    def rss_bytes(self) -> int | None:
        """What is resident: anonymous, file and shared pages mapped."""
        if self.anon_bytes is None or self.file_bytes is None or self.shmem_bytes is None:
            return None
        return self.anon_bytes + self.file_bytes + self.shmem_bytes


@dataclass(frozen=True, slots=True)
class OomLevel:
    """One cgroup from the victim's up to the root, with its own limits (None: none).

    `swap_bytes` and its limit: v1 memory and swap together, v2 swap alone. `kernel_bytes`: v1.
    All None of a cgroup that only counters tell of.
    """

    cgroup_id: int
    path: str | None
    usage_bytes: int | None
    limit_bytes: int | None
    swap_bytes: int | None
    swap_limit_bytes: int | None
    kernel_bytes: int | None


@dataclass(frozen=True, slots=True)
class OomEvent:
    """One decision to kill: one victim, or a whole group. `victims` in the order of their end.

    `time` (wall clock, seconds) is for people, `boot_ns` (since boot, sleep included) orders,
    `monotonic` (seconds) compares with samples.
    `trigger` ran into the limit, or killed. `levels` are of the first victim, its own first.
    `memory`: memory.stat's keys of the cgroup that was out of memory, as the kernel held them;
    None: not known. `kills`, `since`: of what only counters told, how many and since when.
    """

    source: str
    time: float
    boot_ns: int
    monotonic: float = 0.0
    victims: tuple[OomTask, ...] = ()
    trigger: OomTask | None = None
    cgroup_id: int | None = UNKNOWN
    total_bytes: int | None = None
    order: int | None = None
    gfp_mask: int | None = None
    levels: tuple[OomLevel, ...] = ()
    memory: Mapping[str, int] | None = None
    lost: int = 0  # kills so far whose records found no room
    kills: int = 1
    since: float | None = None
    gaps: tuple[str, ...] = field(default=())
