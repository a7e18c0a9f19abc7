"""Which containers one word means: a container, a pod, a cgroup path, a directory or a pid.

Reads nothing: the caller says where the memory hierarchy is mounted and where a pid lives.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence

from memtrace.model.selection import Selection, select
from memtrace.model.shapes import Container

_CLOSE = 3


def find(
    containers: Sequence[Container],
    word: str,
    mount: str,
    cgroup_of: Callable[[int], str | None],
) -> tuple[Container, ...]:
    """Return what the word means, () for nothing; a name comes before a pid.

    Removed ones, whose name another may have taken, only where none is running. `mount` is the
    absolute path of the hierarchy's root directory.
    """
    path = cgroup_path(word, mount)
    found = select(containers, Selection(container=path)) or select(containers, Selection(pod=word))
    if found or not word.isdecimal():
        return tuple(each for each in found if each.source.state == "running") or found
    where = cgroup_of(int(word))
    return () if where is None else select(containers, Selection(pid=int(word), pid_cgroup=where))


def cgroup_path(word: str, mount: str) -> str:
    """Return a directory of the hierarchy as the path inside it; any other word as it is."""
    if word.rstrip("/") == mount.rstrip("/"):
        return "/"
    if word.startswith(mount.rstrip("/") + "/"):
        return word.removeprefix(mount.rstrip("/")).rstrip("/")
    return word.rstrip("/") if word.startswith("/") and word != "/" else word


def close_names(containers: Iterable[Container], word: str) -> list[str]:
    """Return at most three names like the one that was not found, best first."""
    known: set[str] = set()
    for container in containers:
        identity = container.source.identity
        words = (identity.container, identity.pod, identity.name, container.source.path)
        known.update(filter(None, words))
    similar = difflib.get_close_matches(word, sorted(known), _CLOSE)
    holding = sorted((name for name in known if word in name), key=len)
    return list(dict.fromkeys(similar + holding))[:_CLOSE]
