"""Who else uses a file's cached pages, in words: "also read by web-1 (3 MiB), dirtied by sidecar".

Says nothing of what the payer does itself. Does not escape or cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice

from memtrace.model.shapes import File
from memtrace.model.units import size
from memtrace.samples import FileUser

_NAMED = 2
"""Others that are named; of the rest it is said how many there are."""


def in_words(file: File) -> str:
    """Return all that is known; empty when nobody else is at it, or nobody watched."""
    uses = file.row.uses
    again = uses.refaulted_bytes if uses is not None else None
    return _joined(who(file, amounts=True), f"{size(again)} read again" if again else "")


def who(file: File, amounts: bool = False) -> str:
    """Return who else is at it, and with how much since it is watched."""
    uses = file.row.uses
    if uses is None:
        return ""
    return _joined(
        _by("also read by", others(file, uses.touched_by), amounts),
        _by("dirtied by", others(file, uses.dirtied_by), amounts),
    )


def briefly(file: File) -> str:
    """Return the same with little room: "dirtied: sidecar", "read: web-1", "read again"."""
    uses = file.row.uses
    if uses is None:
        return ""
    for verb, users in (("dirtied", uses.dirtied_by), ("read", uses.touched_by)):
        names = others(file, users)
        if names:
            rest = len(names) - 1
            return f"{verb}: {next(iter(names))}" + (f" +{rest}" if rest else "")
    return "read again" if uses.refaulted_bytes else ""


def others(file: File, users: Iterable[FileUser] | None) -> dict[str, int]:
    """Return bytes by container of these users, the largest first, without the one that pays."""
    amounts: Counter[str] = Counter()
    for user in users or ():
        if user.cgroup != file.charged_to:
            amounts[user.container or user.name] += user.bytes
    return dict(amounts.most_common())


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _by(verb: str, users: dict[str, int], amounts: bool) -> str:
    if not users:
        return ""
    named = [
        f"{name} ({size(used)})" if amounts else name
        for name, used in islice(users.items(), _NAMED)
    ]
    rest = len(users) - _NAMED
    return f"{verb} {', '.join(named)}" + (f" and {rest} more" if rest > 0 else "")
