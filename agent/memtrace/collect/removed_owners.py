"""Where a removed cgroup's pages go over to its parent: has the kernel forget whose they were.

While the removed cgroup is shown, its pages leave in its name (bpf/include/owner.h). Once it is
folded away they are whoever's the kernel charges. Decides nothing: the tree says who is folded.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from typing import Protocol


class Owners(Protocol):
    """The part of kernel.session.Session that knows removed owners."""

    def removed_owners(self) -> Iterator[tuple[bytes, int]]: ...
    def drop_removed_owner(self, key: bytes) -> None: ...


def forget_folded(session: Owners, known: Container[int], drain: Callable[[], None]) -> None:
    """Drop the owners that were of no `known` cgroup. Raises BpfError.

    `drain` must read all events: a cgroup made and removed since is not known without them.
    """
    owners = list(session.removed_owners())
    if owners:
        drain()
    for key, cgroup in owners:
        if cgroup not in known:
            session.drop_removed_owner(key)
