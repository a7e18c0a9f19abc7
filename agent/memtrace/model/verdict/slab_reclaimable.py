"""slab_reclaimable: most of the memory is kernel objects that the kernel gives back, not a leak."""

from __future__ import annotations

from memtrace.model.shapes import Advice, Evidence, Verdict
from memtrace.model.slab_words import deed, objects, slab_cause
from memtrace.model.units import percent, size
from memtrace.model.verdict import advice
from memtrace.model.verdict.case import MIB, Case, bytes_of
from memtrace.model.verdict.evidence import of_files, of_go, of_slab

LEAST_BYTES = 64 * MIB
KNOWN_SHARE = 0.5


def slab_reclaimable(case: Case) -> Verdict | None:
    """Applies from 64 MiB, when it is the largest part of the usage.

    Largest: more than clean cache and more than the program's own memory. cgroup v1 tells
    kernel memory as one sum, threads' stacks and page tables among it; there a census tells,
    or half of it must have been seen being allocated from reclaimable caches.
    """
    slab, usage = _amount(case), case.memory.usage_bytes
    if slab is None or usage is None or slab < LEAST_BYTES:
        return None
    if slab < max(case.page_cache.clean_bytes or 0, case.memory.anon_bytes or 0):
        return None
    return Verdict(
        "slab_reclaimable",
        f"{size(slab)} of {size(usage)} ({percent(slab, usage)}) is kernel memory for names and "
        f"files{_by_whom(case)}: the kernel gives it back when memory is needed; it is not a leak.",
        "info",
        0.9 if case.culprits.causes and case.memory.slab_bytes is not None else 0.6,
        slab,
        _evidence(case),
        (
            *_ask_less(case),
            _do_nothing(),
            *advice.limit_for(case, usage - slab, "names are looked up on disk again"),
        ),
    )


def _amount(case: Case) -> int | None:
    """Return what is reclaimable, None when that is not known well enough."""
    figure = case.culprits.figure_bytes
    if figure is None or case.memory.slab_bytes is not None:
        return figure
    if case.slab is not None:
        return min(figure, case.slab.reclaimable_bytes)
    return figure if case.culprits.allocated_bytes >= KNOWN_SHARE * figure else None


def _by_whom(case: Case) -> str:
    return f" ({slab_cause(case.culprits.causes[0])})" if case.culprits.causes else ""


def _evidence(case: Case) -> tuple[Evidence, ...]:
    memory, culprits = case.memory, case.culprits
    told = "reclaimable slab" if memory.slab_bytes is not None else "kernel memory"
    causes = (
        bytes_of(f"allocated as {objects(each.cache)}: {deed(each)}", each.bytes)
        for each in culprits.causes[:3]
    )
    return (
        bytes_of("memory usage", memory.usage_bytes),
        bytes_of(told, culprits.figure_bytes),
        bytes_of("clean page cache", case.page_cache.clean_bytes),
        bytes_of("anonymous memory (heap, stacks)", memory.anon_bytes),
        bytes_of("working set as the kubelet counts it", memory.working_set_bytes),
        *of_slab(case),
        *causes,
        bytes_of("no culprit: grew before observation", culprits.unwatched_bytes),
        *of_files(case),
        *of_go(case),
    )


def _ask_less(case: Case) -> tuple[Advice, ...]:
    """Of names that do not exist the kernel remembers that, too."""
    cause = next(iter(case.culprits.causes), None)
    if cause is None or not cause.missing:
        return ()
    why = f"{cause.objects} names that do not exist were looked up; the kernel remembers each"
    setting = f"names looked up by {cause.comm or 'the program'}"
    return (Advice(setting, None, "existing ones", why, "a change of what it searches"),)


def _do_nothing() -> Advice:
    why = "remembered names and files make looking them up fast, and reclaim takes them first"
    cost = "usage and working set keep looking large; the kubelet evicts by working set"
    return advice.nothing(why, cost)
