"""What a verdict may look at, and the words and bounds verdicts share. Judges nothing."""

from __future__ import annotations

from typing import NamedTuple

from memtrace.model.course import Course
from memtrace.model.go_shapes import GoTable
from memtrace.model.machine import Machine
from memtrace.model.shapes import (
    Container,
    Evidence,
    MemoryFigures,
    PageCache,
    Rows,
    SlabFigures,
    Verdict,
    WorkingSet,
)
from memtrace.model.slab_culprits import Culprits
from memtrace.samples import CgroupSample, Sample

MIB = 1 << 20
NOTHING = "nothing"  # the `setting` of the advice to leave things as they are

_LAG_PAGES_PER_CPU = 64  # MEMCG_CHARGE_BATCH: changes a CPU may hold back from memory.stat
_CPUS_IF_UNKNOWN = 64  # generous: a too small bound would report remainders that are lag


class Around(NamedTuple):
    """What a verdict needs besides the container's figures.

    `bound`: how far the kernel's figures may lag, in bytes. `seconds`: what changes count over;
    None: there are none yet. `course`: how it went; None: nobody kept that, so no trend is told.
    `unattributed_before`: page cache of no known origin at the first of the samples.
    """

    bound: int
    seconds: float | None = None
    unattributed_before: int | None = None
    course: Course | None = None
    machine: Machine = Machine()


class Case(NamedTuple):
    """One cgroup's figures, with what is around them."""

    cgroup: CgroupSample
    memory: MemoryFigures
    working_set: WorkingSet
    page_cache: PageCache
    rows: Rows
    culprits: Culprits
    slab: SlabFigures | None
    go: GoTable | None
    around: Around


PENDING = Verdict("not_enough_evidence", "", "unknown", 0.0, None)
"""What a container has until it is judged."""


def case_of(container: Container, around: Around) -> Case:
    """Return what a verdict on the container may look at."""
    return Case(
        container.source,
        container.memory,
        container.working_set,
        container.page_cache,
        container.rows,
        container.culprits,
        container.slab,
        container.go,
        around,
    )


def lag_bound(sample: Sample) -> int:
    """Return how many bytes memory.stat may be behind on this machine."""
    cpus = sample.cpus or _CPUS_IF_UNKNOWN
    return _LAG_PAGES_PER_CPU * cpus * sample.page_bytes


def remainder(case: Case) -> int | None:
    """Return the unattributed bytes if they are a finding: beyond lag at two samples in a row."""
    now, before = case.page_cache.unattributed_bytes, case.around.unattributed_before
    if now is None or before is None or min(abs(now), abs(before)) <= case.around.bound:
        return None
    return now


def bytes_of(text: str, value: int | None) -> Evidence:
    """Return one amount as evidence."""
    return Evidence(text, value, "bytes")


def cache_evidence(case: Case) -> tuple[Evidence, ...]:
    """Return the figures that every verdict on page cache rests on."""
    memory, cache = case.memory, case.page_cache
    figures = (
        bytes_of("memory usage", memory.usage_bytes),
        bytes_of("clean page cache", cache.clean_bytes),
        bytes_of("anonymous memory (heap, stacks)", memory.anon_bytes),
        bytes_of("working set as the kubelet counts it", memory.working_set_bytes),
        bytes_of("cache of no known origin", cache.unattributed_bytes),
    )
    return figures + _largest_file(case)


def cache_confidence(case: Case) -> float:
    """Return how sure a statement on page cache is.

    The amounts are the kernel's own, so they hold without a baseline; which files fill the
    cache and who read them is then only partly known.
    """
    return 0.95 if case.page_cache.baseline_bytes is not None else 0.6


def _largest_file(case: Case) -> tuple[Evidence, ...]:
    if not case.rows.files:
        return ()
    file = case.rows.files[0]
    name = file.row.container_path or file.row.path
    if not name or not file.resident_bytes:
        return ()
    return (bytes_of(f"largest file: {name}", file.resident_bytes),)
