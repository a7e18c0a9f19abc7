"""What is watched of a file in several cgroups, added up. Unknown where any part is."""

from __future__ import annotations

from memtrace.model.totals import plus
from memtrace.samples import FileUser, FileUses

Users = tuple[FileUser, ...] | None


def joined(left: FileUses | None, right: FileUses | None) -> FileUses | None:
    """Add what is known of one file that two cgroups pay for."""
    if left is None or right is None:
        return None
    return FileUses(
        plus(left.refaulted_bytes, right.refaulted_bytes),
        _together(left.touched_by, right.touched_by),
        _together(left.dirtied_by, right.dirtied_by),
        _together(left.own, right.own),
    )


def _together(left: Users, right: Users) -> Users:
    if left is None or right is None:
        return None
    found = {_who(user): user for user in left}
    for user in right:
        known = found.get(_who(user))
        found[_who(user)] = user if known is None else _sum(user, known)
    return tuple(sorted(found.values(), key=lambda user: user.bytes, reverse=True))


def _who(user: FileUser) -> tuple[int, int]:
    return user.cgroup_id, user.pid


def _sum(user: FileUser, other: FileUser) -> FileUser:
    return user._replace(bytes=user.bytes + other.bytes)
