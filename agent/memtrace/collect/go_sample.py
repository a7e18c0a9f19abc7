"""Samples of Go processes alone, for `memtrace go`: no page-cache program is attached."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from memtrace.collect.bare_sample import bare_sample, cgroup_figures
from memtrace.collect.go_collections import MAX_PROGRAMS, GoCollections
from memtrace.collect.go_processes import GoProcesses
from memtrace.collect.starting import EXIT_MISSING, EXIT_RUNTIME, LiveError
from memtrace.host.hierarchy import HostError, find_hierarchy, walk
from memtrace.host.procfs import namespace_base
from memtrace.kernel.closing import Closing
from memtrace.kernel.errors import BpfError
from memtrace.kernel.go_plan import go_gc_feature, go_processes_feature, has_uprobe_multi
from memtrace.kernel.plan import QUESTIONS
from memtrace.kernel.support import kernel_facts
from memtrace.samples import GoHeapFunctions, GoProcess, Sample

_STEP_SECONDS = 0.1


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the kernel refuses into the sentence and the exit code of a command."""
    try:
        yield
    except BpfError as error:
        raise LiveError(f"the kernel refused a read: {error}", EXIT_RUNTIME) from error


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
        facts = kernel_facts(QUESTIONS)
        finding = go_processes_feature(facts)
        if not finding.enabled:
            raise LiveError(f"{finding.reason}; run it with sudo", EXIT_MISSING)
        collections = GoCollections(
            go_gc_feature(facts), has_uprobe_multi(facts), stay=0.0, at_once=MAX_PROGRAMS
        )
        self._processes = GoProcesses(root, self.hierarchy, base or "/", finding, collections)

    def sample(self) -> Sample:
        """All cgroups with their Go processes as of now."""
        with _refusals():
            if not self._processes.look(time.monotonic(), thorough=True):
                raise LiveError(
                    "a Go program's file system does not answer: try again, or look for processes "
                    "that hang (ps, state D)",
                    EXIT_RUNTIME,
                )
        entries = list(walk(self.hierarchy))
        cgroups = cgroup_figures(entries, self.hierarchy, self._root)
        sample = bare_sample(
            self.hierarchy,
            [replace(each, go=self._processes.of(each.cgroup_id)) for each in cgroups],
        )
        return replace(sample, features=self._processes.features())

    def heap_functions(self, processes: Iterable[GoProcess]) -> dict[int, GoHeapFunctions]:
        """Which functions hold the heap of each now, by pid; read from their memory, on demand."""
        from memtrace.collect.go_heap import heap_functions

        pairs = ((each, self._processes.memory_of(each)) for each in processes)
        return heap_functions(self._root, pairs)

    def wait(self, seconds: float, progress: Callable[[float], None] | None = None) -> None:
        """Return after so long, or soon after `stop`. `progress` is told the seconds left."""
        end = time.monotonic() + seconds
        while not self._stopped and (left := end - time.monotonic()) > 0:
            if progress is not None:
                progress(left)
            with _refusals():
                self._processes.gather()
            time.sleep(min(left, _STEP_SECONDS))

    def stop(self) -> None:
        """End a wait. May be called from a signal handler."""
        self._stopped = True

    def close(self) -> None:
        """Give all descriptors back. May be called twice."""
        self._processes.close()
