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
RUN = "run"  # the `setting` of the advice to run a command next
FULL, NEAR = 0.98, 0.95
"""Of the limit: reclaim works in batches, so a full cgroup hovers just below it."""
FOLIOS = 4 * MIB

_LAG_PAGES_PER_CPU = 64  # MEMCG_CHARGE_BATCH: changes a CPU may hold back from memory.stat
_CPUS_IF_UNKNOWN = 64  # generous: a too small bound would report remainders that are lag


class Around(NamedTuple):
    """What a verdict needs besides the container's figures.

    `bound`: how far the kernel's figures may lag, in bytes. `seconds`: what changes count over;
    None: there are none yet. `course`: how it went; None: nobody kept that, so no trend is told.
    `unattributed_before`: page cache of no known origin at the first of the samples.
    `mode`: v1, v2 or hybrid. `killed`: it is told afterwards, the limit was reached.
    """

    bound: int
    seconds: float | None = None
    unattributed_before: int | None = None
    course: Course | None = None
    machine: Machine = Machine()
    mode: str = ""
    killed: bool = False


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


def at_limit(case: Case) -> bool:
    """Tell whether usage stands at the effective limit.

    From 98 %, or 95 % where no more than two large folios are left: cache comes in folios of up
    to 2 MiB (mm/readahead.c), and for one that does not fit another is dropped as a whole.
    """
    limit, usage = case.memory.limit_bytes, case.memory.usage_bytes
    if not limit or usage is None:
        return False
    return usage >= FULL * limit or (usage >= NEAR * limit and limit - usage <= FOLIOS)


def kept_bytes(case: Case) -> int | None:
    """Return what reclaim cannot take of the usage: all but clean cache and reclaimable slab."""
    usage, clean = case.memory.usage_bytes, case.page_cache.clean_bytes
    if usage is None or clean is None:
        return None
    return max(0, usage - clean - (case.working_set.reclaimable_slab_bytes or 0))


def swap_takes(case: Case, beyond: int) -> bool:
    """Tell whether so much beyond the limit fits in swap, that which is there already counted.

    At a limit the kernel swaps before it kills (Linux mm/memcontrol.c, try_charge: reclaim first).
    Room that is not known is none. That version 1 may forbid a cgroup to swap (swappiness 0) is
    not seen.
    """
    swapped, left = case.memory.swap_bytes or 0, case.around.machine.swap_left_bytes
    room, bound = swapped + (left or 0), case.memory.swap_limit_bytes
    return beyond <= (room if bound is None else min(room, bound))


def rounded_up(amount: float) -> int:
    """Return whole MiB."""
    return -(-int(amount) // MIB) * MIB
