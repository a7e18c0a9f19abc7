"""While the screen looks into a container, more of it is watched: a Live that sees to that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from memtrace.commands.watch import ALWAYS_INSIDE

if TYPE_CHECKING:
    from memtrace.commands.top import Live
    from memtrace.samples import Sample


Cgroups = frozenset[int] | None


class InsideLive:
    """Is `live`, and besides what is asked of it watches the container whose id `inside` tells.

    Follows `inside` whenever a wait ends, so whoever changes it ends the wait.
    """

    def __init__(self, live: Live, inside: Callable[[], int | None]) -> None:
        self._live = live
        self._inside = inside
        self._names: frozenset[str] = frozenset()
        self._cgroups: Cgroups = frozenset()
        self._told: tuple[frozenset[str], Cgroups] = frozenset(), frozenset()
        self.on_progress = live.on_progress
        self.on_census = live.on_census

    def sample(self) -> Sample:
        """Everything as of now."""
        return self._live.sample()

    def wait(self, seconds: float, also: int | None = None) -> bool:
        """Wait as the live source does."""
        woken = self._live.wait(seconds, also)
        self._follow()
        return woken

    def watch(self, names: frozenset[str], cgroup_ids: frozenset[int] | None) -> None:
        """Watch these anyway."""
        self._names, self._cgroups = names, cgroup_ids
        self._follow()

    def request_baseline(self) -> None:
        """Take stock again of what is cached."""
        self._live.request_baseline()

    def request_census(self) -> None:
        """Count kernel objects again."""
        self._live.request_census()

    def stop(self) -> None:
        """End a wait."""
        self._live.stop()

    def _follow(self) -> None:
        inside = self._inside()
        names, cgroups = self._names, self._cgroups
        if inside is not None:
            names = names | ALWAYS_INSIDE
            cgroups = None if cgroups is None else cgroups | {inside}
        if (names, cgroups) != self._told:
            self._told = names, cgroups
            self._live.watch(names, cgroups)
