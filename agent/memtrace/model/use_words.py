"""Who else uses a file's cached pages, in words: "also read by web-1, dirtied by sidecar".

Says nothing of what the payer does itself. Does not escape or cut.
"""

from __future__ import annotations

from collections.abc import Iterable

from memtrace.model.shapes import File
from memtrace.model.units import size
from memtrace.samples import FileUser

_NAMED = 2
"""Others that are named; of the rest it is said how many there are."""


def in_words(file: File) -> str:
    """Return all that is known; empty when nobody else is at it, or nobody watched."""
    uses = file.row.uses
    again = uses.refaulted_bytes if uses is not None else None
    return _joined(who(file), f"{size(again)} read again" if again else "")


def who(file: File) -> str:
    """Return who else is at it."""
    uses = file.row.uses
    if uses is None:
        return ""
    return _joined(
        _by("also read by", others(file, uses.touched_by)),
        _by("dirtied by", others(file, uses.dirtied_by)),
    )


def briefly(file: File) -> str:
    """Return the same with little room: "dirtied: sidecar", "read: web-1", "read again"."""
    uses = file.row.uses
    if uses is None:
        return ""
    for verb, users in (("dirtied", uses.dirtied_by), ("read", uses.touched_by)):
        names = others(file, users)
        if names:
            return f"{verb}: {names[0]}" + (f" +{len(names) - 1}" if len(names) > 1 else "")
    return "read again" if uses.refaulted_bytes else ""


def others(file: File, users: Iterable[FileUser] | None) -> list[str]:
    """Return the containers of these users, the largest first, without the one that pays."""
    amounts: dict[str, int] = {}
    for user in users or ():
        if user.cgroup != file.charged_to:
            name = user.container or user.name
            amounts[name] = amounts.get(name, 0) + user.bytes
    return sorted(amounts, key=lambda name: -amounts[name])


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _by(verb: str, names: list[str]) -> str:
    if not names:
        return ""
    rest = len(names) - _NAMED
    return f"{verb} {', '.join(names[:_NAMED])}" + (f" and {rest} more" if rest > 0 else "")
