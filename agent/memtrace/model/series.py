"""Whose series there are: the labels of each cgroup, unique, bounded and fit for any reader.

A named container has no `cgroup` label, so that it is one series however often it restarts.
What lies inside a container has none of its own: the container's figures hold it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from memtrace.model.shapes import Container
from memtrace.model.tree import REMOVED
from memtrace.samples import Identity

MOST = 2_048
"""Running cgroups with series: a node has some hundred, a hostile container may make thousands."""
MOST_REMOVED = 100
LONGEST = 256
"""Characters of a label's value; of a longer one its end is kept, which tells paths apart."""
_CONTAINERS = ("container", "sandbox")
_NAMED = (*_CONTAINERS, "pod")


class Labels(NamedTuple):
    """Empty where they do not apply."""

    namespace: str = ""
    pod: str = ""
    container: str = ""
    cgroup: str = ""


REST = Labels(cgroup="other")
"""All that found no room; a real cgroup's path starts with a slash."""


class Removed(NamedTuple):
    """What is left of removed cgroups of one name. `cached_bytes`: None where that is unknown."""

    labels: Labels
    cgroups: int
    cached_bytes: int | None


class Series(NamedTuple):
    """Running cgroups with their labels, no two alike; `left_out`: how many found no room."""

    running: tuple[tuple[Labels, Container], ...]
    removed: tuple[Removed, ...]
    left_out: int


def series(containers: Sequence[Container]) -> Series:
    """Return whose series there are. Of equal names the newest cgroup has the name alone."""
    rows = [each for each in containers if each.source.state != REMOVED]
    gone = [each for each in containers if each.source.state == REMOVED]
    told = {each.source.cgroup_id: each for each in rows}
    shown = [each for each in rows if _shown(each, told)]
    shown.sort(key=lambda each: (each.source.identity.kind not in _NAMED, _depth(each)))
    chosen = _unique(shown[:MOST])
    return Series(tuple(chosen.items()), tuple(_removed(gone)), len(shown) - len(chosen))


def labels_of(who: Identity, path: str) -> Labels:
    """Return the labels of a cgroup: its names, or its path where it has none."""
    container = (who.container or who.name) if who.kind in _CONTAINERS else ""
    if container or (who.kind == "pod" and who.pod):
        return Labels(clean(who.namespace or ""), clean(who.pod or ""), clean(container))
    return Labels(cgroup=clean(path))


def clean(text: str) -> str:
    """Return the text without what is not printable, and not too long."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)
    return text if len(text) <= LONGEST else f"…{text[1 - LONGEST :]}"


def _own(container: Container) -> Labels:
    return labels_of(container.source.identity, container.source.path)


def _shown(container: Container, told: Mapping[int, Container]) -> bool:
    """Tell whether it is not just a part of a container, or its second cgroup (crun has two)."""
    named = container.source.identity.kind in _NAMED
    for above in _above(container, told):
        if above.source.identity.kind in _CONTAINERS:
            return named and _own(above) != _own(container)
    return True


def _above(container: Container, told: Mapping[int, Container]) -> Iterator[Container]:
    parent = told.get(container.source.parent_id or 0)
    while parent is not None:
        yield parent
        parent = told.get(parent.source.parent_id or 0)


def _depth(container: Container) -> int:
    return container.source.path.count("/")


def _unique(shown: Iterable[Container]) -> dict[Labels, Container]:
    found: dict[Labels, Container] = {}
    for container in sorted(shown, key=lambda each: each.source.cgroup_id, reverse=True):
        labels = _own(container)
        if labels in found:
            labels = labels._replace(cgroup=clean(container.source.path))
        found.setdefault(labels, container)
    return found


def _removed(gone: Iterable[Container]) -> Iterator[Removed]:
    count: Counter[Labels] = Counter()
    cached: dict[Labels, int | None] = {}
    for container in gone:
        labels, left = _own(container), container.page_cache.attributed_bytes
        count[labels] += 1
        before = cached.get(labels, 0)
        cached[labels] = None if before is None or left is None else before + left
    order = sorted(cached, key=lambda labels: (-(cached[labels] or 0), labels))
    for labels in order[:MOST_REMOVED]:
        yield Removed(labels, count[labels], cached[labels])
    if rest := order[MOST_REMOVED:]:
        known = [cached[labels] or 0 for labels in rest]
        yield Removed(REST, sum(count[labels] for labels in rest), sum(known))
