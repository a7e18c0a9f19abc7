"""Go processes from the second sample on: the first one is not to wait for what finds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from memtrace.samples import Feature, GoHeap, GoProcess

if TYPE_CHECKING:
    from memtrace.collect.go_processes import GoProcesses


_LATER = "from the second sample on"


class LaterGo:
    """Is what `make` makes, once `look` was called twice. `feature`: of counting collections."""

    def __init__(self, feature: Feature, make: Callable[[], GoProcesses]) -> None:
        self._feature = feature
        self._make = make
        self._looked = False
        self._made: GoProcesses | None = None

    def gather(self) -> None:
        """Take over what the probes told. Raises BpfError."""
        if self._made is not None:
            self._made.gather()

    def look(self, now: float) -> None:
        """Call for each sample; `now` in monotonic seconds. Raises BpfError."""
        if self._looked and self._made is None:
            self._made = self._make()
        self._looked = True
        if self._made is not None:
            self._made.look(now)

    def of(self, cgroup: int) -> tuple[GoProcess, ...] | None:
        """The processes of a cgroup alone; None: nobody looked yet."""
        return None if self._made is None else self._made.of(cgroup)

    def controllers(self) -> dict[int, tuple[int, int]]:
        """Where each process has its gcController, and its start in ticks, by pid."""
        return {} if self._made is None else self._made.controllers()

    def heap_of(self, pid: int, block: bytes) -> GoHeap | None:
        """What a gcController's bytes say, of a process that may have ended by now."""
        return None if self._made is None else self._made.heap_of(pid, block)

    def features(self) -> dict[str, Feature]:
        """Whether Go processes are found, and their collections counted; or why not."""
        if self._made is not None:
            return self._made.features()
        return {"go_processes": Feature(True, _LATER), "go_gc": self._feature}

    def lost(self) -> int:
        """Collections so far that were not told."""
        return 0 if self._made is None else self._made.lost()

    def close(self) -> None:
        """Give everything back. May be called twice."""
        if self._made is not None:
            self._made.close()
