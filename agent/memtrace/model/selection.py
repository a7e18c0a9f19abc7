"""Which containers of a Snapshot a user asked for, and in which order. Draws nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from memtrace.model.shapes import Container, Snapshot

_CLOSE = 3


class Selection(NamedTuple):
    """What was asked for; None asks for everything. `pid_cgroup` is the cgroup of `pid`."""

    namespace: str | None = None
    pod: str | None = None
    container: str | None = None
    pid: int | None = None
    pid_cgroup: str | None = None

    def __bool__(self) -> bool:
        """Tell whether anything was asked for."""
        return any(value is not None for value in self)


def select(containers: Sequence[Container], wanted: Selection) -> tuple[Container, ...]:
    """Return the containers that match all that was asked for."""
    chosen: Iterable[Container] = containers
    if wanted.namespace is not None:
        chosen = [c for c in chosen if c.source.identity.namespace == wanted.namespace]
    if wanted.pod is not None:
        chosen = [c for c in chosen if c.source.identity.pod == wanted.pod]
    if wanted.container is not None:
        chosen = [c for c in chosen if wanted.container in _names(c)]
    if wanted.pid is not None:
        chosen = _of_process(list(chosen), wanted.pid, wanted.pid_cgroup)
    return tuple(chosen)


def with_below(containers: Iterable[Container], chosen: Iterable[Container]) -> set[int]:
    """Return the ids of the chosen and of everything below them."""
    found = {each.source.cgroup_id for each in chosen}
    for each in sorted(containers, key=lambda c: len(c.source.path)):  # parents come first
        if each.source.parent_id in found:
            found.add(each.source.cgroup_id)
    return found


def matching(containers: Iterable[Container], text: str) -> tuple[Container, ...]:
    """Return the containers with the text in a name, the image or the cgroup; any case."""
    asked = text.strip().casefold()
    return tuple(c for c in containers if any(asked in name for name in _all_names(c)))


def _all_names(container: Container) -> Iterable[str]:
    identity = container.source.identity
    known = (identity.namespace, identity.pod, identity.image, *_names(container))
    return (name.casefold() for name in known if name)


def close_names(containers: Sequence[Container], wanted: Selection) -> list[str]:
    """Return names like the one that was not found, best first."""
    from difflib import get_close_matches

    known: set[str] = set()
    asked = wanted.container or wanted.pod or wanted.namespace or ""
    for container in containers:
        identity = container.source.identity
        if wanted.container is not None:
            known.update(filter(None, (identity.container, identity.name)))
        elif wanted.pod is not None:
            known.update(filter(None, (identity.pod,)))
        else:
            known.update(filter(None, (identity.namespace,)))
    holding = sorted(name for name in known if asked and asked in name)
    similar = get_close_matches(asked, sorted(known), _CLOSE)
    return list(dict.fromkeys(similar + holding))[:_CLOSE]


def rows_of(containers: Sequence[Container]) -> tuple[Container, ...]:
    """Return the rows of a flat list: containers whole, and elsewhere the leaves.

    Where only groups are left, as after asking for one by name, they are the rows.
    """
    whole = {c.source.cgroup_id for c in containers if c.source.identity.kind == "container"}
    parent = {c.source.cgroup_id: c.source.parent_id for c in containers}
    rows = tuple(
        c
        for c in containers
        if (c.leaf or c.source.cgroup_id in whole) and not _inside(c, whole, parent)
    )
    return rows or tuple(containers)


def whole_node(snapshot: Snapshot) -> Container | None:
    """Return the root of the memory hierarchy, if it was sampled."""
    return next((c for c in snapshot.containers if c.source.path == "/"), None)


SORT_KEYS: dict[str, Callable[[Container], int | None]] = {
    "usage": lambda c: c.memory.usage_bytes,
    "wset": lambda c: c.memory.working_set_bytes,
    "anon": lambda c: c.memory.anon_bytes,
    "file": lambda c: c.memory.file_bytes,
    "clean": lambda c: c.page_cache.clean_bytes,
    "growth": lambda c: c.usage_delta_bytes,
    "added": lambda c: c.page_cache.added_delta_bytes,
}
SORTS: tuple[str, ...] = (*SORT_KEYS, "name")


FADED_BYTES = 1 << 20


def faded(container: Container) -> bool:
    """Tell whether a cgroup is removed and next to nothing of its cache is left."""
    left = container.page_cache.attributed_bytes
    return container.source.state == "removed" and (left is None or left < FADED_BYTES)


def ordered(containers: Iterable[Container], sort: str) -> list[Container]:
    """Return the largest first, unknown last; by name from a to z."""
    if sort == "name":
        return sorted(containers, key=display_name)
    amount = SORT_KEYS[sort]

    def rank(container: Container) -> tuple[bool, int, str]:
        value = amount(container)
        return (value is None, -(value or 0), display_name(container))

    return sorted(containers, key=rank)


def display_name(container: Container) -> str:
    """Return "pod/container" in Kubernetes, else the name."""
    identity = container.source.identity
    if identity.pod and identity.container:
        return f"{identity.pod}/{identity.container}"
    return identity.name or container.source.path


def _names(container: Container) -> tuple[str | None, ...]:
    identity, path = container.source.identity, container.source.path
    return (identity.container, identity.name, path)


def _of_process(containers: list[Container], pid: int, path: str | None) -> list[Container]:
    """Return where the process lives; where that is unknown, what it filled."""
    if path is not None:
        above = [c for c in containers if _holds(c.source.path, path)]
        real = [c for c in above if c.source.identity.kind == "container"]
        if above:
            return [max(real or above, key=lambda c: len(c.source.path))]
    return [c for c in containers if any(p.row.tgid == pid for p in c.rows.processes)]


def _holds(path: str, below: str) -> bool:
    """Tell whether `below` is the cgroup or inside it; all are inside /, which says nothing."""
    return below == path or (path != "/" and below.startswith(path + "/"))


def _inside(container: Container, whole: set[int], parent: dict[int, int | None]) -> bool:
    here, above = container.source.cgroup_id, container.source.parent_id
    while above is not None and above in parent and above != here:
        if above in whole:
            return True
        here, above = above, parent[above]
    return False
