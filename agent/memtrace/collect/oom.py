"""Decodes records of kills and puts those of one decision together. Reads nothing, has no clock.

Every string comes from user space by way of the kernel and may hold any byte but NUL.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from memtrace.kernel import wire
from memtrace.kills import (
    CGROUP_KILL,
    DAEMON,
    KERNEL,
    NOT_CURRENT,
    READ,
    UNREADABLE,
    GoMemory,
    OomEvent,
    OomLevel,
    OomTask,
)

QUIET_NS = 200_000_000
"""A group is complete when for so long no further victim was told: killing one takes
microseconds, and milliseconds where the kernel writes about it to a slow console."""
MAX_VICTIMS = 1024
MAX_WAITING = 4096
_NO_LIMIT_PAGES = 1 << 50
_SOURCES = {
    wire.OOM_KERNEL: KERNEL,
    wire.OOM_CGROUP_KILL: CGROUP_KILL,
    wire.OOM_DAEMON: DAEMON,
}
_GO_STATES = {
    wire.OOM_GO_READ: READ,
    wire.OOM_GO_NOT_CURRENT: NOT_CURRENT,
    wire.OOM_GO_UNREADABLE: UNREADABLE,
}
_GO = wire.OOM_KILL.size + wire.OOM_TASK.size
_TRIGGER = _GO + wire.OOM_GO.size
_CAUSE = _TRIGGER + wire.OOM_TASK.size
_LEVELS = _CAUSE + wire.OOM_CAUSE.size
_PATH = _LEVELS + wire.OOM_LEVELS * wire.OOM_LEVEL.size
NOT_FIRST = "the group's first record was lost: what ran into which limit is not known"
TOO_MANY = f"more than {MAX_VICTIMS} victims: the rest is left out"
PATH_CUT = "the cgroup's path is too long to be told whole"


class Cause(NamedTuple):
    """What a group's first record says besides its victim. `state`: memcg->vmstats->state."""

    trigger: OomTask
    cgroup_id: int | None
    total_bytes: int | None
    gfp_mask: int
    order: int
    levels: tuple[OomLevel, ...]
    state: tuple[int, ...]
    cut: bool


class Kill(NamedTuple):
    """One record. `group` is the same for all victims of one decision."""

    source: str
    group: tuple[int, int]
    boot_ns: int
    victim: OomTask
    cause: Cause | None


def decode(record: memoryview, page: int) -> Kill | None:
    """One kill; None for a record too short or of an unknown kind. `page`: bytes of a page."""
    data = bytes(record)
    if len(data) < _TRIGGER:
        return None
    how, member, group, killer, boot_ns = wire.OOM_KILL.unpack_from(data)
    if how not in _SOURCES or (not member and len(data) < _PATH):
        return None
    cause = None if member else _cause(data, page)
    victim = replace(_task(data, wire.OOM_KILL.size, page), go=_go(data))
    return Kill(_SOURCES[how], (killer, group), boot_ns, victim, cause)


def _go(data: bytes) -> GoMemory | None:
    state, block = wire.OOM_GO.unpack_from(data, _GO)
    known = _GO_STATES.get(state)
    return None if known is None else GoMemory(known, block if known == READ else b"")


def _task(data: bytes, at: int, page: int) -> OomTask:
    pid, tgid, start, uid, adj, cgroup, *amounts, comm = wire.OOM_TASK.unpack_from(data, at)
    known = [None if amount == wire.UNTOLD else amount for amount in amounts]
    in_pages = [None if amount is None else amount * page for amount in known]
    file, anon, swap, shmem, peak, virtual = in_pages[:6]
    tables, read, written = known[6], known[8], known[9]
    return OomTask(
        pid,
        tgid,
        start,
        uid,
        comm.partition(b"\0")[0].decode("utf-8", "surrogateescape"),
        adj,
        None if cgroup == wire.UNTOLD else cgroup,
        anon_bytes=anon,
        file_bytes=file,
        shmem_bytes=shmem,
        swap_bytes=swap,
        peak_bytes=_peak(peak, file, anon, shmem),
        virtual_bytes=virtual,
        page_table_bytes=tables,
        maxrss_bytes=in_pages[7],
        disk_read_bytes=read,
        disk_write_bytes=written,
    )


def _peak(noted: int | None, *resident: int | None) -> int | None:
    """The kernel notes a peak only when memory shrinks: what is resident now may be more."""
    now = sum(amount or 0 for amount in resident)
    return None if noted is None else max(noted, now)


def _cause(data: bytes, page: int) -> Cause:
    cgroup, total, gfp, order, levels, used, *state = wire.OOM_CAUSE.unpack_from(data, _CAUSE)
    names = data[_PATH : _PATH + min(used, wire.OOM_PATH_BYTES)].split(b"\0")[:-1]
    cut = used >= wire.OOM_PATH_BYTES
    return Cause(
        _task(data, _TRIGGER, page),
        None if cgroup == wire.UNTOLD else cgroup,
        total * page or None,
        gfp,
        order,
        tuple(_levels(data, min(levels, wire.OOM_LEVELS), page, [] if cut else names)),
        struct.unpack(f"<{wire.OOM_STATES}q", struct.pack(f"<{wire.OOM_STATES}Q", *state)),
        cut,
    )


def _levels(data: bytes, count: int, page: int, names: list[bytes]) -> Iterator[OomLevel]:
    for number in range(count):
        at = _LEVELS + number * wire.OOM_LEVEL.size
        cgroup, *amounts = wire.OOM_LEVEL.unpack_from(data, at)
        usage, limit, swap, swap_limit, kernel = amounts
        yield OomLevel(
            cgroup,
            _path(names[number:]) if names else None,
            usage * page,
            _limit(limit, page),
            swap * page,
            _limit(swap_limit, page),
            None if kernel == wire.UNTOLD else kernel * page,
        )


def _path(names: list[bytes]) -> str:
    """The path of a cgroup; `names`: its own first, the root has an empty one."""
    return "/" + b"/".join(reversed([name for name in names if name])).decode(
        "utf-8", "surrogateescape"
    )


def _limit(pages: int, page: int) -> int | None:
    return pages * page if pages < _NO_LIMIT_PAGES else None


@dataclass(slots=True)
class _Group:
    kills: list[Kill]
    last_ns: int
    too_many: bool = False


class Grouping:
    """Kills in, decisions out: each victim once, each group whole. Times are ns since boot."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[int, int], _Group] = {}

    def add(self, kill: Kill) -> int:
        """Take one record; return its victim's number in the group, 0 for one known already."""
        group = self._waiting.setdefault(kill.group, _Group([], kill.boot_ns))
        group.last_ns = max(group.last_ns, kill.boot_ns)
        if any(_same(kill, known) for known in group.kills):
            return 0
        if len(group.kills) >= MAX_VICTIMS:
            group.too_many = True
            return MAX_VICTIMS + 1
        group.kills.append(kill)
        return len(group.kills)

    def due(self, now_ns: int) -> float | None:
        """Seconds until the next group is complete; None: nothing waits."""
        if not self._waiting:
            return None
        first = min(group.last_ns for group in self._waiting.values())
        return max(0.0, (first + QUIET_NS - now_ns) / 1e9)

    def complete(self, now_ns: int) -> list[tuple[OomEvent, Cause | None]]:
        """Decisions that are whole, oldest first, each told once; their time is 0 as yet."""
        crowded = len(self._waiting) > MAX_WAITING
        whole = [
            key
            for key, group in self._waiting.items()
            if crowded or now_ns - group.last_ns >= QUIET_NS
        ]
        events = [_event(self._waiting.pop(key)) for key in whole]
        return sorted(events, key=lambda made: made[0].boot_ns)


def _same(one: Kill, other: Kill) -> bool:
    return (one.victim.tgid, one.victim.start) == (other.victim.tgid, other.victim.start)


def _event(group: _Group) -> tuple[OomEvent, Cause | None]:
    kills = sorted(group.kills, key=lambda kill: kill.boot_ns)
    first = kills[0]
    cause = next((kill.cause for kill in kills if kill.cause), None)
    gaps = (TOO_MANY,) if group.too_many else ()
    event = OomEvent(
        first.source,
        0.0,
        first.boot_ns,
        victims=tuple(kill.victim for kill in kills),
        kills=len(kills),
        gaps=gaps,
    )
    if cause is None:
        return replace(event, gaps=(*gaps, NOT_FIRST)), None
    if cause.cut:
        event = replace(event, gaps=(*gaps, PATH_CUT))
    return _with_cause(event, cause), cause


def _with_cause(event: OomEvent, cause: Cause) -> OomEvent:
    return replace(
        event,
        trigger=cause.trigger,
        cgroup_id=cause.cgroup_id,
        total_bytes=cause.total_bytes,
        order=cause.order if event.source == KERNEL else None,
        gfp_mask=cause.gfp_mask if event.source == KERNEL else None,
        levels=cause.levels,
    )
