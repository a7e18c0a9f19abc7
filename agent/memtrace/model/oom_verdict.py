"""Why a kill happened, in one claim, and what to change. Judges the figures of one record."""

from __future__ import annotations

from collections.abc import Iterator

from memtrace.kills import COUNTERS
from memtrace.model.oom_go_verdict import judge_go
from memtrace.model.oom_history import Background
from memtrace.model.oom_shapes import Postmortem
from memtrace.model.selection import display_name, rows_of
from memtrace.model.shapes import Advice, Container, Evidence, Verdict
from memtrace.model.units import percent, size
from memtrace.model.verdict.case import MIB, NOTHING, bytes_of

MAIN = 0.5
"""From this share of the usage on, one kind of memory is what the kill was about."""
PRESSED = 0.9
"""Below this share of the limit a kill decided in user space was not for the limit."""
_HEADROOM = 1.25
_FITTING = 0.9
"""Of what a container had when the machine was full: with that much it was full."""
_MATTERS = 0.1
"""Of all memory in use: to bound less would not have saved the machine."""
_LARGEST = 3


def judge_kill(made: Postmortem, before: Background) -> Verdict:
    """The claim that fits; without one the evidence does not suffice."""
    if made.event.source == COUNTERS:
        return _unwatched(made)
    if made.kill == "node":
        return _node(made, before)
    if made.kill == "userspace" and not _pressed(made):
        return _not_for_memory(made)
    return _by_composition(made, before)


def _by_composition(made: Postmortem, before: Background) -> Verdict:
    composed, usage = made.composition, made.composition.usage_bytes
    unwritten = (composed.dirty_bytes or 0) + (composed.writeback_bytes or 0)
    parts = (
        ("anon_growth", composed.anon_bytes, "the program's own memory (anonymous)"),
        ("shmem", composed.shmem_bytes, "shared memory or files in tmpfs"),
        ("slab_reclaimable", composed.kernel_bytes, "the kernel's own memory (slab and others)"),
        ("dirty_bound", unwritten, "file data not yet written to disk"),
    )
    name, amount, what = max(parts, key=lambda part: part[1] or 0)
    if not usage or not amount or amount < MAIN * usage:
        return _unclear(made)
    claim = f"{_opening(made)} {size(amount)} of it ({percent(amount, usage)}) was {what}."
    of_go = judge_go(made, before) if name == "anon_growth" else None
    if of_go is not None:
        return of_go._replace(claim=f"{claim} {of_go.claim}", others=(*of_go.others, name))
    confidence = 0.95 if composed.source in ("kernel", "victims") else 0.6
    advice = tuple(_advice(made, name, amount))
    return Verdict(name, claim, "critical", confidence, amount, _evidence(made), advice)


def _opening(made: Postmortem) -> str:
    where, usage = made.oom_cgroup, made.composition.usage_bytes
    if made.kill == "userspace":
        return f"Memory was short and user space decided to kill; {size(usage)} was in use."
    if made.kill == "unknown":
        return f"The kernel was out of memory; {size(usage)} was in use."
    limit = f" of {size(where.limit)}" if where.limit is not None else ""
    subject = "The limit above the container" if made.kill == "pod" else "The limit"
    swap = " (memory and swap together)" if where.limited_by == "swap" else ""
    return f"{subject}{limit}{swap} was reached with {size(usage)} in use."


def _unclear(made: Postmortem) -> Verdict:
    claim = f"{_opening(made)} No single kind of memory explains it."
    if made.composition.source == "unknown":
        claim = f"{_opening(made)} What it consisted of is not known."
    return Verdict(
        "not_enough_evidence", claim, "critical", 0.3, made.composition.usage_bytes, _evidence(made)
    )


def _unwatched(made: Postmortem) -> Verdict:
    count = made.event.kills
    plural = "process was" if count == 1 else "processes were"
    claim = f"{count} {plural} killed for want of memory while nobody watched."
    return Verdict("not_enough_evidence", claim, "critical", 0.0, None)


def _not_for_memory(made: Postmortem) -> Verdict:
    limit, usage = made.oom_cgroup.limit, made.oom_cgroup.usage
    who = made.trigger.task.comm if made.trigger else "somebody"
    room = f"{percent(usage, limit)} of its limit" if limit else f"{size(usage)} and had no limit"
    claim = f"{who} killed the whole cgroup; it used {room}: its own limit was not the reason."
    why = "a decision made outside: ask whoever runs that program, or stopped the container"
    advice = (Advice(NOTHING, None, None, why, ""),)
    return Verdict("not_enough_evidence", claim, "info", 0.5, usage, _evidence(made), advice)


def _pressed(made: Postmortem) -> bool:
    limit, usage = made.oom_cgroup.limit, made.oom_cgroup.usage
    return bool(limit and usage is not None and usage >= PRESSED * limit)


def _node(made: Postmortem, before: Background) -> Verdict:
    """The machine was out of memory: who had most, and who had no limit."""
    largest = _largest(before)
    free = [c for c in largest if c.memory.limit_bytes is None]
    claim = "The whole machine was out of memory, no container's limit was reached."
    if free:
        names = ", ".join(f"{display_name(c)} ({size(c.memory.usage_bytes)})" for c in free)
        claim = f"{claim} Without any limit: {names}."
    evidence = (
        *_evidence(made),
        *(bytes_of(f"{display_name(c)}: usage", c.memory.usage_bytes) for c in largest),
    )
    advice = tuple(
        Advice(
            f"memory limit of {display_name(c)}",
            None,
            _rounded((c.memory.usage_bytes or 0) * _FITTING),
            f"it had {size(c.memory.usage_bytes)} and nothing bounded it: that was too much here",
            "it is killed alone when it needs more",
        )
        for c in free
        if (c.memory.usage_bytes or 0) >= _MATTERS * (made.oom_cgroup.usage or 0)
    )
    confidence = 0.8 if free else 0.4
    name = "no_limit_node_risk" if free else "not_enough_evidence"
    return Verdict(name, claim, "critical", confidence, made.oom_cgroup.usage, evidence, advice)


def _largest(before: Background) -> list[Container]:
    rows = rows_of(before.last.containers) if before.last else ()
    known = [c for c in rows if c.memory.usage_bytes and c.source.state == "running"]
    return sorted(known, key=lambda c: -(c.memory.usage_bytes or 0))[:_LARGEST]


def _evidence(made: Postmortem) -> tuple[Evidence, ...]:
    composed, victim = made.composition, made.victims[0].task if made.victims else None
    rows = (
        ("limit", made.oom_cgroup.limit),
        ("memory in use", composed.usage_bytes),
        ("anonymous memory (heap, stacks)", composed.anon_bytes),
        ("clean page cache", composed.clean_bytes),
        ("resident memory of the victim", victim.rss_bytes if victim else None),
        ("its peak", victim.peak_bytes if victim else None),
    )
    return tuple(bytes_of(text, value) for text, value in rows if value is not None)


def _advice(made: Postmortem, name: str, amount: int) -> Iterator[Advice]:
    limit = made.oom_cgroup.limit
    if name == "anon_growth":
        grown = _growth(made)
        if grown is not None and limit and grown > 0.25 * limit:
            span = f"{made.history[0].seconds_before:.0f} s"
            why = f"it grew by {size(grown)} in the {span} before: find what keeps it"
            yield Advice("the program's memory", None, None, why, "")
    elif name == "shmem":
        why = f"{size(amount)} in tmpfs or shared memory counts fully and is never reclaimed"
        yield Advice("size of the tmpfs or emptyDir (medium: Memory)", None, None, why, "")
    elif name == "dirty_bound":
        why = f"{size(amount)} waited to be written: it cannot be dropped before"
        yield Advice("how much is written at once (fsync earlier)", None, None, why, "")
    if limit is not None:
        why = (
            "what it needs beyond the limit is not measurable: a first step to look at again, "
            "if this use is right"
        )
        proposed = _rounded(limit * _HEADROOM)
        yield Advice("memory limit", limit, proposed, why, "more memory for this container")


def _growth(made: Postmortem) -> int | None:
    """Anonymous memory at the kill against the first moment of the history."""
    now = made.composition.anon_bytes
    first = next((m.anon_bytes for m in made.history if m.anon_bytes is not None), None)
    return None if now is None or first is None else now - first


def _rounded(amount: float) -> int:
    return -(-int(amount) // MIB) * MIB
