"""How one cgroup went over several samples: what trends are judged by. Judges nothing itself.

A trend has to show in spite of a sawtooth, such as a heap between two collections has: the lowest
point of the last third is above the highest of the first, and the last third still rises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from memtrace.samples import GoProcess, Memory, Sample

LEAST_POINTS = 6
"""Two in each third."""
STILL = 0.1
"""Of the whole growth, what the last third has to have of it: less is a step that is over."""

Process = tuple[int, int]
Series = tuple[tuple[float, int], ...]


class Growth(NamedTuple):
    """By so many bytes in so many seconds, from one level to another."""

    bytes: int
    seconds: float
    before_bytes: int
    after_bytes: int

    @property
    def per_second(self) -> float:
        """Bytes a second."""
        return self.bytes / self.seconds

    def seconds_until(self, more: int) -> float:
        """How long until it grew by so many bytes more, if it went on."""
        return more / self.per_second


class Course(NamedTuple):
    """Series of (seconds, bytes), oldest first; moments at which a figure is unknown are left out.

    `other` is anonymous memory that no Go runtime has mapped. `live`, by process: the live heap,
    where collections are followed what the last one found live. `seconds` is the whole length.
    `gc_cpu`, by process: CPUs that collecting took while it was followed, which begins later.
    """

    seconds: float = 0.0
    usage: Series = ()
    other: Series = ()
    live: Mapping[Process, Series] = MappingProxyType({})
    gc_cpu: Mapping[Process, float] = MappingProxyType({})


def course(samples: Sequence[Sample], path: str) -> Course:
    """Return how the cgroup at `path`, with all below it, went over these samples."""
    start = samples[0].monotonic
    usage: list[tuple[float, int]] = []
    other: list[tuple[float, int]] = []
    seen: dict[Process, list[tuple[float, GoProcess]]] = {}
    for sample in samples:
        at = sample.monotonic - start
        memory, processes = _at(sample, path)
        if memory is not None and memory.usage_bytes is not None:
            usage.append((at, memory.usage_bytes))
        if memory is not None and memory.anon_bytes is not None:
            mapped = sum(each.heap.mapped_bytes for each in processes if each.heap is not None)
            other.append((at, max(0, memory.anon_bytes - mapped)))
        for each in processes:
            seen.setdefault((each.pid, each.start), []).append((at, each))
    live = {process: _live(moments) for process, moments in seen.items()}
    spent = {process: rate for process, each in seen.items() if (rate := _gc_cpu(each)) is not None}
    return Course(samples[-1].monotonic - start, tuple(usage), tuple(other), live, spent)


def _live(moments: Sequence[tuple[float, GoProcess]]) -> Series:
    """Return what collections found live; all live heap where too few of them were followed."""
    found = tuple(
        (at, each.gc.marked_bytes)
        for at, each in moments
        if each.gc is not None and each.gc.marked_bytes is not None
    )
    if len(found) >= LEAST_POINTS:
        return found
    return tuple((at, each.heap.heap_live_bytes) for at, each in moments if each.heap is not None)


def _gc_cpu(moments: Sequence[tuple[float, GoProcess]]) -> float | None:
    """Return how many CPUs collecting took since it is followed."""
    spent = [
        (at, each.gc.cpu_seconds)
        for at, each in moments
        if each.gc is not None and each.gc.cpu_seconds is not None
    ]
    return _rate(spent) if spent else None


def _rate(series: Sequence[tuple[float, float]]) -> float | None:
    """Return by how much a second it rose."""
    (start, first), (end, last) = series[0], series[-1]
    return (last - first) / (end - start) if end > start and last >= first else None


def growth(series: Series) -> Growth | None:
    """Return how much it grew; None where it did not, or cannot be told."""
    if len(series) < LEAST_POINTS:
        return None
    third = len(series) // 3
    levels = [amount for _, amount in series]
    low, high = max(levels[:third]), min(levels[-third:])
    whole = levels[-1] - levels[0]
    if high <= low or levels[-1] - levels[-third - 1] < STILL * whole:
        return None
    return Growth(whole, series[-1][0] - series[0][0], levels[0], levels[-1])


def _at(sample: Sample, path: str) -> tuple[Memory | None, list[GoProcess]]:
    """Return the cgroup's own figures and all Go processes in it or below."""
    memory: Memory | None = None
    processes: list[GoProcess] = []
    for cgroup in sample.cgroups:
        if cgroup.path == path:
            memory = cgroup.memory
        if cgroup.go and within(cgroup.path, path):
            processes += cgroup.go
    return memory, processes


def within(path: str, above: str) -> bool:
    """Tell whether a cgroup is the other one, or below it."""
    return f"{path}/".startswith(f"{above.rstrip('/')}/")
