"""The rows of a Snapshot as a list that can be folded: slices and pods above what is in them.

Decides what is a row and what a group; orders by what it is given. Draws nothing.
A group's figures are hierarchical: they contain those of the rows below it, so only rows
that are no group add up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from memtrace.model.selection import display_name, rows_of
from memtrace.model.shapes import Container

Order = Callable[[Iterable["Entry"]], list["Entry"]]


class Entry(NamedTuple):
    """One row. `depth`: how many groups it is in; `folded` None: it is no group."""

    container: Container
    name: str
    depth: int = 0
    folded: bool | None = None

    @property
    def key(self) -> int:
        """What stays the same from snapshot to snapshot."""
        return self.container.source.cgroup_id


def flat(rows: Iterable[Container], order: Order) -> list[Entry]:
    """Return the rows in order, without groups."""
    return order(Entry(row, display_name(row)) for row in rows)


def grouped(
    everything: Sequence[Container],
    rows: Iterable[Container],
    order: Order,
    toggled: Collection[int] = (),
) -> list[Entry]:
    """Return the rows below the groups they are in, which are ordered like them.

    Pods with a single container are folded at first. `toggled`: ids of groups that the user
    folded or unfolded. The root is no group: everything is in it.
    """
    known = {c.source.cgroup_id: c for c in everything}
    below: dict[int | None, dict[int, Container]] = {}
    for row in rows:
        _hang(row, known, below)
    return _walk(None, 0, below, order, toggled)


def rows_among(everything: Sequence[Container], chosen: Iterable[Container]) -> list[Container]:
    """Return which of `chosen` are rows of a list without double counting."""
    rows = {row.source.cgroup_id for row in rows_of(everything)}
    return [container for container in chosen if container.source.cgroup_id in rows]


def _hang(
    row: Container, known: dict[int, Container], below: dict[int | None, dict[int, Container]]
) -> None:
    """Put the row below its parent, that below its own, and so on, up to the root."""
    while True:
        above = known.get(row.source.parent_id or 0)
        is_top = above is None or above.source.path == "/" or above is row
        siblings = below.setdefault(None if is_top else row.source.parent_id, {})
        seen = row.source.cgroup_id in siblings
        siblings[row.source.cgroup_id] = row
        if is_top or seen or above is None:
            return
        row = above


def _walk(
    parent: int | None,
    depth: int,
    below: dict[int | None, dict[int, Container]],
    order: Order,
    toggled: Collection[int],
) -> list[Entry]:
    siblings = below.get(parent, {}).values()
    listed: list[Entry] = []
    for entry in order(_entry(c, depth, below, toggled) for c in siblings):
        listed.append(entry)
        if entry.folded is False:
            listed += _walk(entry.key, depth + 1, below, order, toggled)
    return listed


def _entry(
    container: Container,
    depth: int,
    below: dict[int | None, dict[int, Container]],
    toggled: Collection[int],
) -> Entry:
    key, identity = container.source.cgroup_id, container.source.identity
    name = (identity.container if depth else None) or identity.name or container.source.path
    if key not in below:
        return Entry(container, name if depth else display_name(container), depth)
    folded = identity.kind == "pod" and _containers_in(below[key].values()) <= 1
    return Entry(container, name, depth, folded != (key in toggled))


def _containers_in(children: Iterable[Container]) -> int:
    """Count real containers; the sandbox of a pod is none."""
    return sum(child.source.identity.kind != "sandbox" for child in children)
