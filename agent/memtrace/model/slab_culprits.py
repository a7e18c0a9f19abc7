"""Who had kernel objects allocated, of a cgroup with all below it, and what stands out of it.

Allocations while they were watched; what was freed since is not subtracted, and what grew
before that has no culprit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

from memtrace.model.rank import join, ordered, top
from memtrace.samples import CgroupSample, Memory, SlabCulpritRow, SlabCulprits

Key = tuple[str, int, int, str | None, str | None]
Entries = dict[Key, SlabCulpritRow]

_LOOKUPS = """
stat lstat newfstatat statx access faccessat faccessat2 open openat openat2 readlink readlinkat
execve execveat statfs chdir chmod chown utimensat getxattr lgetxattr unlink unlinkat rmdir
inotify_add_watch name_to_handle_at
"""
LOOKUPS = frozenset(_LOOKUPS.split())
"""System calls that look up the name they are given, by their own names."""

MISSING = 0.1
"""Fewer inodes than this share of the dentries: the names that were looked up do not exist."""
_bytes = attrgetter("bytes")


class SlabCause(NamedTuple):
    """What all processes of one name had allocated from one cache in one system call.

    `tgid` is 0 when it is several processes. `missing`: most of the names they looked up do
    not exist; None: the call looks up no names, or the cache holds none.
    """

    cache: str
    comm: str | None
    tgid: int
    syscall: str | None
    objects: int
    bytes: int
    recent_bytes: int
    missing: bool | None = None

    @property
    def amounts(self) -> tuple[int, int]:
        """Bytes in the interval, and ever: what causes are compared by."""
        return (self.recent_bytes, self.bytes)


class Culprits(NamedTuple):
    """The largest rows of a cgroup with all below it; `causes` are the rows by name and call.

    `allocated_bytes` are all allocations; `unwatched_bytes` is what the kernel's figure was, or
    grew, while nobody watched, at most what it is; None when it is unknown. `figure_bytes` is
    that figure now: reclaimable slab, on cgroup v1 all kernel memory.
    """

    rows: tuple[SlabCulpritRow, ...] = ()
    causes: tuple[SlabCause, ...] = ()
    allocated_bytes: int = 0
    unwatched_bytes: int | None = None
    figure_bytes: int | None = None

    @property
    def latest(self) -> SlabCause | None:
        """Who had most allocated of late, else ever."""
        return max(self.causes, key=_amounts, default=None)


NOBODY = Culprits()


class Table(NamedTuple):
    """Rows of a cgroup and all below, largest first, and what all allocations amount to."""

    rows: Entries
    allocated_bytes: int


EMPTY = Table({}, 0)


def own_table(culprits: SlabCulprits) -> Table:
    """Return the rows of a cgroup alone."""
    if not culprits.allocated_bytes:
        return EMPTY
    rows = {(row.cache, row.tgid, row.start, row.comm, row.syscall): row for row in culprits.rows}
    return Table(ordered(rows, _bytes), culprits.allocated_bytes)


def joined_table(parts: Sequence[Table]) -> Table:
    """Return the rows of a cgroup and its children."""
    parts = [part for part in parts if part is not EMPTY]
    if len(parts) < 2:
        return parts[0] if parts else EMPTY
    rows = join([part.rows for part in parts], _sum, _bytes)
    return Table(rows, sum(part.allocated_bytes for part in parts))


def describe(cgroup: CgroupSample, table: Table) -> Culprits:
    """Draw up what is known of one cgroup."""
    unwatched, figure = cgroup.culprits.unwatched_bytes, _figure(cgroup.memory)
    if unwatched is not None and figure is not None:
        unwatched = min(unwatched, figure)  # of what was freed meanwhile nobody asks
    return Culprits(
        tuple(top(table.rows)),
        tuple(_causes(table.rows.values())) if table.rows else (),
        table.allocated_bytes,
        unwatched,
        figure,
    )


def _figure(memory: Memory | None) -> int | None:
    if memory is None or memory.slab_reclaimable_bytes is None:
        return None if memory is None else memory.kernel_bytes
    return memory.slab_reclaimable_bytes


def _causes(rows: Iterable[SlabCulpritRow]) -> list[SlabCause]:
    """Return one for each name, call and cache, largest first."""
    found: dict[tuple[str | None, str | None, str], SlabCause] = {}
    for row in rows:
        key = (row.comm, row.syscall, row.cache)
        same = found.get(key)
        amounts = (row.objects, row.bytes, row.recent_bytes)
        if same is not None:
            amounts = tuple(map(sum, zip(amounts, same[4:7], strict=True)))  # type: ignore[assignment]
        tgid = row.tgid if same is None or same.tgid == row.tgid else 0
        found[key] = SlabCause(row.cache, row.comm, tgid, row.syscall, *amounts)
    causes = [cause._replace(missing=_missing(cause, found)) for cause in found.values()]
    return sorted(causes, key=_bytes, reverse=True)


def _missing(
    cause: SlabCause, everything: dict[tuple[str | None, str | None, str], SlabCause]
) -> bool | None:
    """Tell whether dentries came without inodes, as they do for names that do not exist."""
    if cause.cache != "dentry" or cause.syscall not in LOOKUPS:
        return None
    inodes = sum(
        other.objects
        for (comm, call, cache), other in everything.items()
        if (comm, call) == (cause.comm, cause.syscall) and "inode" in cache
    )
    return inodes < MISSING * cause.objects


def _sum(left: SlabCulpritRow, right: SlabCulpritRow) -> SlabCulpritRow:
    return left._replace(
        objects=left.objects + right.objects,
        bytes=left.bytes + right.bytes,
        recent_bytes=left.recent_bytes + right.recent_bytes,
    )


_amounts = attrgetter("amounts")
