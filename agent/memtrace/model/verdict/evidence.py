"""The figures that verdicts rest on, put together alike: composition, files, causes, Go, slab."""

from __future__ import annotations

from collections.abc import Iterator

from memtrace.model.shapes import Driver, Evidence
from memtrace.model.slab import shown
from memtrace.model.slab_words import objects
from memtrace.model.units import size
from memtrace.model.use_words import who
from memtrace.model.verdict.case import MIB, Case, bytes_of
from memtrace.model.verdict.causes import LITTLE, MOST, added, readers
from memtrace.model.words import cause, target

_FILES = 3
_CAUSES = 2
_CACHES = 2
_PROCESSES = 2


def composition(case: Case) -> tuple[Evidence, ...]:
    """Return what the memory is made of, what is not there left out."""
    memory, cache = case.memory, case.page_cache
    always = (
        bytes_of("memory usage", memory.usage_bytes),
        bytes_of("effective limit", memory.limit_bytes),
        bytes_of("clean page cache", cache.clean_bytes),
        bytes_of("anonymous memory (heap, stacks)", memory.anon_bytes),
    )
    others = (
        bytes_of("shared memory and tmpfs", memory.shmem_bytes),
        bytes_of("kernel memory", memory.kernel_bytes),
        bytes_of("in swap", memory.swap_bytes),
        bytes_of("cache of no known origin", _beyond(case)),
    )
    return always + tuple(each for each in others if each.value)


def _beyond(case: Case) -> int | None:
    """Return the unattributed cache if it is more than lag."""
    rest = case.page_cache.unattributed_bytes
    return None if rest is None or abs(rest) <= case.around.bound else rest


def of_cache(case: Case) -> tuple[Evidence, ...]:
    """Return which files fill the cache, who put them there or reads them, and what is beside."""
    return (
        *composition(case),
        bytes_of("working set as the kubelet counts it", case.memory.working_set_bytes),
        *of_files(case),
        *_causes(case),
        *_from_before(case),
        *of_slab(case),
        *of_go(case),
    )


def _from_before(case: Case) -> Iterator[Evidence]:
    """Yield what no cause is known of, if it is most."""
    before, file = case.page_cache.baseline_bytes, case.memory.file_bytes or 0
    if before and before >= MOST * file > added(case):
        yield bytes_of("there before memtrace watched: who put it there is not known", before)


def _function(driver: Driver) -> str:
    return f" in {driver.row.function}" if driver.row.function else ""


def of_files(case: Case) -> Iterator[Evidence]:
    least = LITTLE * (case.memory.file_bytes or 0)
    known = [
        file for file in case.rows.files if (file.resident_bytes or 0) > least and target(file.row)
    ]
    for file in known[:_FILES]:
        used = ", ".join(filter(None, (readers(file), who(file))))
        beside = f" ({used})" if used else ""
        yield bytes_of(f"file {target(file.row)}{beside}", file.resident_bytes)
    if len(known) > _FILES and case.rows.files_other_bytes is not None:
        rest = sum(file.resident_bytes or 0 for file in known[_FILES:])
        yield bytes_of("other files", rest + case.rows.files_other_bytes)


def _causes(case: Case) -> Iterator[Evidence]:
    for driver in case.rows.drivers[:_CAUSES]:
        if driver.added_bytes <= LITTLE * (case.memory.file_bytes or 0):
            break
        sampled = ", by sampled stacks" if driver.row.function else ""
        yield bytes_of(f"added by {cause(driver)}{_function(driver)}{sampled}", driver.added_bytes)


def of_slab(case: Case) -> Iterator[Evidence]:
    """Yield the largest slab caches of the last census, with their numbers of objects.

    Small ones only where all of it is small: a hundredth of the usage, but at most 1 MiB.
    """
    if case.slab is None:
        return
    least = min(MIB, LITTLE * (case.memory.usage_bytes or 0))
    for row in shown(case.slab)[0][:_CACHES]:
        if row.bytes < least:
            break
        yield bytes_of(f"{row.objects:,} {objects(row.cache)} (slab)", row.bytes)


def of_go(case: Case) -> Iterator[Evidence]:
    """Yield the largest Go heaps, with what bounds them."""
    for row in (case.go.rows if case.go is not None else ())[:_PROCESSES]:
        heap = row.process.heap
        if heap is None:
            continue
        limit = "none" if heap.gomemlimit_bytes is None else size(heap.gomemlimit_bytes)
        name = row.process.comm or "a Go program"
        gogc = "off" if heap.gogc < 0 else heap.gogc
        text = f"Go heap in use of {name} ({row.process.pid}), GOMEMLIMIT {limit}, GOGC {gogc}"
        yield bytes_of(text, heap.heap_in_use_bytes)
