"""Samples of Go processes alone, for `memtrace go`: no page-cache program is attached."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from memtrace.collect.bare_sample import bare_sample, cgroup_figures
from memtrace.collect.go_processes import GoProcesses
from memtrace.collect.live import EXIT_MISSING, LiveError
from memtrace.host.hierarchy import HostError, find_hierarchy, walk
from memtrace.host.procfs import namespace_base
from memtrace.kernel.closing import Closing
from memtrace.samples import Sample

_STEP_SECONDS = 0.1


class GoSamples(Closing):
    """Call `sample` again and again; close it when done. Raises LiveError with the exit code."""

    def __init__(self, root: Path = Path("/")) -> None:
        try:
            self.hierarchy = find_hierarchy(root)
        except HostError as error:
            raise LiveError(str(error), EXIT_MISSING) from error
        self._root = root
        self._stopped = False
        entries = list(walk(self.hierarchy))
        base = namespace_base(root, self.hierarchy, (entry.path for entry in entries))
        self._processes = GoProcesses(root, self.hierarchy, base or "/")

    def sample(self) -> Sample:
        """All cgroups with their Go processes as of now."""
        self._processes.look(time.monotonic(), thorough=True)
        entries = list(walk(self.hierarchy))
        cgroups = cgroup_figures(entries, self.hierarchy, self._root)
        return bare_sample(
            self.hierarchy,
            [replace(each, go=self._processes.of(each.cgroup_id)) for each in cgroups],
        )

    def wait(self, seconds: float, progress: Callable[[float], None] | None = None) -> None:
        """Return after so long, or soon after `stop`. `progress` is told the seconds left."""
        end = time.monotonic() + seconds
        while not self._stopped and (left := end - time.monotonic()) > 0:
            if progress is not None:
                progress(left)
            time.sleep(min(left, _STEP_SECONDS))

    def stop(self) -> None:
        """End a wait. May be called from a signal handler."""
        self._stopped = True

    def close(self) -> None:
        """Give all descriptors back. May be called twice."""
        self._processes.close()
