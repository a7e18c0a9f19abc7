"""Decodes the ring buffer's events: bytes in, one small record out. Keeps nothing.

Every string comes from user space by way of the kernel and may hold any byte but NUL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from memtrace.kernel import wire


class PathSeen(NamedTuple):
    """A file's path as the kernel told it; put together only when somebody asks.

    Most files come and go without ever being shown, so this is the event that has to be
    cheap. `names`: the components, leaf first, each with its NUL.
    """

    file: bytes
    links: int
    flags: int
    names: bytes
    superblock: int | None = None  # s_dev, where that is not the file's device

    @property
    def placed(self) -> bool:
        """Whether the path is whole and below its superblock's root.

        Otherwise it is cut, or one name without a place: "memfd:x", "SYSV00000000".
        """
        return not self.flags & (wire.PATH_TRUNCATED | wire.PATH_PSEUDO)

    @property
    def relative(self) -> str | None:
        """The path below its superblock's root, undecodable bytes as surrogates; None: no name."""
        if self.flags & wire.PATH_NONE:
            return None
        path = joined(self.names)
        if self.flags & wire.PATH_TRUNCATED:
            return f"…{path}"
        return path if self.placed else path[1:]


def joined(names: bytes) -> str:
    """Components, leaf first, each with its NUL, as a path from the root."""
    components = [name for name in reversed(names.split(b"\0")) if name]
    return "/" + b"/".join(components).decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class TaskNamed:
    """A process appeared in the ledger, or changed its name by exec."""

    process: bytes
    comm: bytes


@dataclass(frozen=True, slots=True)
class TaskExited:
    """The last thread of a process that is in the ledger ended, having needed and moved this.

    `peak_pages` of the program it ran last: None for a kernel thread, and where the kernel
    only knows a higher peak from before exec. Disk I/O is as in /proc/PID/io, with its reaped
    children; None: the kernel does not count it.
    """

    process: bytes
    peak_pages: int | None
    read_bytes: int | None
    write_bytes: int | None


@dataclass(frozen=True, slots=True)
class CgroupChanged:
    """A memory cgroup was made, removed or released (`change` is wire.EVENT_*)."""

    change: int
    id: int
    parent: int
    path: str


Event = PathSeen | TaskNamed | TaskExited | CgroupChanged


def decode(record: memoryview) -> Event | None:
    """One event; None for a record too short or of an unknown type."""
    data = bytes(record)
    if len(data) < wire.EVENT_TYPE.size:
        return None
    kind = int.from_bytes(data[:4], "little")
    if kind == wire.EVENT_PATH and len(data) >= wire.PATH_EVENT.size:
        return _path(data)
    if kind == wire.EVENT_TASK and len(data) >= wire.TASK_EVENT.size:
        _, process, comm = wire.TASK_EVENT.unpack_from(data)
        return TaskNamed(process, comm.partition(b"\0")[0])
    if kind == wire.EVENT_EXIT and len(data) >= wire.EXIT_EVENT.size:
        _, process, peak, read, written = wire.EXIT_EVENT.unpack_from(data)
        return TaskExited(process, _told(peak) or None, _told(read), _told(written))
    if kind in _CGROUP_EVENTS and len(data) >= wire.CGROUP_EVENT.size:
        return _cgroup(data)
    return None


_CGROUP_EVENTS = (wire.EVENT_MKDIR, wire.EVENT_RMDIR, wire.EVENT_RELEASE)


def _told(amount: int) -> int | None:
    return None if amount == wire.UNTOLD else amount


def _path(data: bytes) -> PathSeen:
    _, flags, file, links, _mode, _magic, used, device = wire.PATH_EVENT.unpack_from(data)
    start = wire.PATH_EVENT.size
    superblock = None if device == wire.FILE.unpack(file)[1] else device
    return PathSeen(file, links, flags, data[start : start + used], superblock)


def _cgroup(data: bytes) -> CgroupChanged:
    change, used, cgroup, parent = wire.CGROUP_EVENT.unpack_from(data)
    start = wire.CGROUP_EVENT.size
    path = data[start : start + used].partition(b"\0")[0]
    return CgroupChanged(change, cgroup, parent, path.decode("utf-8", "surrogateescape"))
