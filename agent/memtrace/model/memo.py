"""What was worked out one snapshot ago, so that the same is not worked out again.

Only for pure functions: what came of equal arguments then is right now. Knows nothing
of what it remembers, and forgets what a whole turn has not asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Memo(Generic[Result]):
    """The last arguments and result of one function, for each cgroup."""

    __slots__ = ("_before", "_now")

    def __init__(self) -> None:
        self._before: dict[int, tuple[tuple[Any, ...], Result]] = {}
        self._now: dict[int, tuple[tuple[Any, ...], Result]] = {}

    def turn(self) -> None:
        """Begin the next snapshot: keep this one's results, forget older ones."""
        self._before, self._now = self._now, {}

    def recall(self, cgroup_id: int, work: Callable[..., Result], *arguments: Any) -> Result:
        """Return work(*arguments): what came of them at the last turn, if they are equal.

        `work` is the same function at every call. Arguments that are the very same objects
        as before cost no comparison.
        """
        known = self._before.get(cgroup_id)
        if known is None or known[0] != arguments:
            known = (arguments, work(*arguments))
        self._now[cgroup_id] = known
        return known[1]
