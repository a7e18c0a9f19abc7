"""Go processes from the second sample on: the first one is not to wait for what finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from memtrace.host.hierarchy import Hierarchy
from memtrace.host.procfs import namespace_base
from memtrace.samples import Feature, GoCollected, GoHeap, GoProcess

if TYPE_CHECKING:
    from memtrace.collect.go_processes import GoProcesses


_UNPLANNED = Feature(False, "not planned")


class LaterGo:
    """Is GoProcesses, imported and made once `look` was called twice.

    `paths`: of all cgroups, then; `features`: those of a plan, by name; `many`: as GoProbe has it.
    """

    def __init__(
        self,
        root: Path,
        hierarchy: Hierarchy,
        paths: Callable[[], Iterable[str]],
        features: Mapping[str, Feature],
        many: bool,
    ) -> None:
        self._root = root
        self._hierarchy = hierarchy
        self._paths = paths
        self._finding = features.get("go_processes", _UNPLANNED)
        self._counting = features.get("go_gc", _UNPLANNED)
        self._many = many
        self._looked = False
        self._made: GoProcesses | None = None

    def gather(self) -> None:
        """Take over what the probes told. Raises BpfError."""
        if self._made is not None:
            self._made.gather()

    def look(self, now: float) -> None:
        """Call for each sample; `now` in monotonic seconds. Raises BpfError."""
        if self._looked and self._made is None:
            self._made = self._begin()
        self._looked = True
        if self._made is not None:
            self._made.look(now)

    def of(self, cgroup: int) -> tuple[GoProcess, ...] | None:
        """The processes of a cgroup alone; None: nobody looked yet."""
        return None if self._made is None else self._made.of(cgroup)

    def collected(self, cgroup: int) -> GoCollected | None:
        """All collections in a cgroup alone so far; None: none was told."""
        return None if self._made is None else self._made.collected.of(cgroup)

    def forget(self, cgroup: int) -> None:
        """The cgroup is released."""
        if self._made is not None:
            self._made.collected.forget(cgroup)

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
        return {"go_processes": self._finding, "go_gc": self._counting}

    def lost(self) -> int:
        """Collections so far that were not told."""
        return 0 if self._made is None else self._made.lost()

    def close(self) -> None:
        """Give everything back. May be called twice."""
        if self._made is not None:
            self._made.close()

    def _begin(self) -> GoProcesses:
        from memtrace.collect.go_collections import GoCollections
        from memtrace.collect.go_processes import GoProcesses

        base = namespace_base(self._root, self._hierarchy, self._paths()) or "/"
        collections = GoCollections(self._counting, self._many)
        return GoProcesses(self._root, self._hierarchy, base, self._finding, collections)
