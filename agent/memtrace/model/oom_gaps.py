"""What a record does not know, and why: said in sentences, so that a dash is never a riddle."""

from __future__ import annotations

from collections.abc import Iterator

from memtrace.kills import COUNTERS, KERNEL, UNKNOWN
from memtrace.model.oom_history import Background
from memtrace.model.oom_shapes import Postmortem

LATE = (
    "seen late, by the kernel's counters alone: nobody watched when it happened, so who was "
    "killed, what triggered it and what came before is not known"
)
GONE = "the cgroups of the killed are gone: only the machine's own counter tells of them"
NO_PLACE = "which cgroup was out of memory is not known: the kernel's note of it was not found"
NO_SAMPLE = (
    "no sample from before the kill has this cgroup: history, files, processes and I/O are not "
    "known"
)
NO_BASELINE = (
    "what was cached before memtrace started is not known: files and I/O are only what came since"
)
NO_COMPOSITION = "what the memory consisted of is not known: the kernel's figures were not readable"
VICTIMS_ONLY = (
    "of what the memory consisted of only the victims' own part is known: after ten kills in five "
    "seconds the kernel no longer brings its statistics up to date"
)
NO_GO = "whether there were Go processes, and their heaps, is not known: no sample looked for them"
NO_SLAB = "which kernel objects (slab) there were is not part of this record"
NO_NAME = "the container's name is not known: no runtime and no earlier sample told it"


def gaps_of(made: Postmortem, before: Background) -> tuple[str, ...]:
    """All of them, the widest first."""
    return tuple(_gaps(made, before))


def _gaps(made: Postmortem, before: Background) -> Iterator[str]:
    event = made.event
    yield from event.gaps
    if event.source == COUNTERS:
        yield LATE
        if made.oom_cgroup.place.cgroup_id is None:
            yield GONE
        return
    if event.source == KERNEL and event.cgroup_id is UNKNOWN:
        yield NO_PLACE
    if made.sampled is None:
        yield NO_SAMPLE
    elif made.sampled.page_cache.baseline_bytes is None:
        yield NO_BASELINE
    yield from _composition(made)
    if event.lost:
        yield f"{event.lost} kills so far found no room in the kernel's buffer: they have no record"
    yield from _go(made)
    yield NO_SLAB


def _go(made: Postmortem) -> Iterator[str]:
    if made.go is None:
        yield NO_GO
    for row in made.go or ():
        if row.process.heap is not None and row.process.age_seconds:
            yield (
                f"the Go heap of {row.process.comm or 'process'} ({row.process.pid}) is as of "
                f"at most {row.process.age_seconds:.1f} s before the kill"
            )


def _composition(made: Postmortem) -> Iterator[str]:
    composed = made.composition
    if composed.source == "unknown":
        yield NO_COMPOSITION
    elif composed.source == "victims":
        yield VICTIMS_ONLY
    elif composed.source == "sample":
        yield (
            f"what the memory consisted of is as of {composed.age_seconds or 0:.1f} s before the "
            "kill: the kernel's figures at the kill were not readable"
        )
