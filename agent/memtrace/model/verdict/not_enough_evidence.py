"""not_enough_evidence: why no other verdict may be given. Refusing is an answer of its own."""

from __future__ import annotations

from collections.abc import Iterator

from memtrace.model.course import LEAST_POINTS
from memtrace.model.shapes import Advice, Evidence, Verdict
from memtrace.model.units import size
from memtrace.model.verdict import advice
from memtrace.model.verdict.case import MIB, RUN, Case, bytes_of, remainder

LARGE = 0.2
GONE, LEAST_PEAK = 0.1, 32 * MIB
GREW, GREW_SHARE = 16 * MIB, 0.1
SMALL = 0.05


def unreadable(case: Case) -> Verdict | None:
    """Applies when the kernel gives no figures: the cgroup is gone, or going."""
    if case.memory.file_bytes is not None or case.memory.anon_bytes is not None:
        return None
    return _refuse(case, "The kernel gives no memory figures for it (any more).", None, ())


def contradicted(case: Case) -> Verdict | None:
    """Applies when a fifth of the cache or of the usage has no origin, beyond what lag explains.

    A fifth: the part that is explained would still be right, but a different cause could
    hide in the rest and be the one that grows. Of a cache that is itself little of the usage,
    a twentieth of the usage: less decides nothing.
    """
    rest, file, usage = remainder(case), case.memory.file_bytes, case.memory.usage_bytes
    if rest is not None and abs(rest) > max(LARGE * (file or 0), SMALL * (usage or 0)):
        claim = f"The ledger and the kernel differ by {size(rest)} of page cache."
        return _refuse(case, claim, abs(rest), (bytes_of("cache of no known origin", rest),))
    rest = case.memory.unexplained_bytes
    # swapped pages that are still in memory (swap cache) are usage, and in no other figure
    explained = max(LARGE * (usage or 0), case.around.bound) + (case.memory.swap_bytes or 0)
    if rest is not None and usage and abs(rest) > explained:
        claim = f"{size(rest)} of {size(usage)} is in none of the kernel's figures."
        return _refuse(case, claim, abs(rest), (bytes_of("unexplained usage", rest),))
    return None


def collapsed(case: Case) -> Verdict | None:
    """Applies when nearly all of it went while it was watched: what it was cannot be asked now."""
    course, usage = case.around.course, case.memory.usage_bytes
    if course is None or usage is None or not course.usage:
        return None
    seconds, peak = max(course.usage, key=lambda point: point[1])
    if peak < LEAST_PEAK or usage >= GONE * peak:
        return None
    claim = f"Its memory fell from {size(peak)} to {size(usage)} while it was watched: it ended, "
    evidence = (bytes_of("at its peak", peak), bytes_of("memory usage", usage))
    why = "if it was killed for want of memory, its record says why"
    return Verdict(
        "not_enough_evidence",
        f"{claim}was killed, or let go of it.",
        "unknown",
        0.0,
        peak,
        (*evidence, Evidence("time of the peak", round(seconds, 1), "s into the watch")),
        (Advice(RUN, None, "memtrace oom list", why, ""),),
    )


def no_baseline(case: Case) -> Verdict | None:
    """Applies when what was cached before memtrace started is unknown."""
    if case.page_cache.baseline_bytes is not None:
        return None
    claim = "What was cached before memtrace watched is unknown; only changes are."
    evidence = (
        bytes_of("page cache", case.memory.file_bytes),
        bytes_of("added since memtrace watches", case.page_cache.added_bytes),
    )
    return _refuse(case, claim, None, evidence)


def few_samples(case: Case) -> Verdict | None:
    """Applies where its own memory grew, seen too few times to tell a trend: a busy machine.

    By as much as would count: 16 MiB and a tenth (anon_growth). To call it healthy would be wrong.
    """
    other = () if case.around.course is None else case.around.course.other
    if not 1 < len(other) < LEAST_POINTS:
        return None
    (begun, before), (ended, after) = other[0], other[-1]
    if after - before < max(GREW, GREW_SHARE * before):
        return None
    claim = (
        f"Its own memory grew by {size(after - before)} in {ended - begun:.0f} s, "
        f"but was seen only {len(other)} times: too few to tell a trend."
    )
    evidence = (
        bytes_of("grew by", after - before),
        bytes_of("memory usage", case.memory.usage_bytes),
    )
    return _refuse(case, claim, after - before, evidence)


def no_rule(case: Case) -> Verdict:
    """Return the answer when all figures are known and none of the verdicts fits them."""
    claim = "The figures fit none of the verdicts this version knows."
    evidence = (
        bytes_of("memory usage", case.memory.usage_bytes),
        bytes_of("effective limit", case.memory.limit_bytes),
        bytes_of("anonymous memory (heap, stacks)", case.memory.anon_bytes),
    )
    return _refuse(case, claim, None, evidence)


def too_unsure(case: Case, verdict: Verdict) -> Verdict:
    """Return the answer when what would be said is not sure enough to be said."""
    name = verdict.id.replace("_", " ")
    claim = f"It may be {name}, but that is not sure enough ({verdict.confidence:.0%}) to be said."
    return _refuse(case, claim, verdict.bytes, verdict.evidence)


def _refuse(case: Case, claim: str, amount: int | None, evidence: tuple[Evidence, ...]) -> Verdict:
    return Verdict(
        "not_enough_evidence", claim, "unknown", 0.0, amount, evidence, tuple(_next(case))
    )


def _next(case: Case) -> Iterator[Advice]:
    """Yield what to run to know more; of what is gone there is nothing more."""
    if case.cgroup.state == "removed":
        return
    if case.page_cache.baseline_bytes is None:
        why = "with the baseline it knows what is cached already"
        yield advice.run_next(case, "explain {}", why)
    elif case.around.course is None:
        yield advice.run_next(case, "explain {}", "ten seconds with all that can be watched")
    else:
        yield advice.run_next(case, "explain {} --for 1m", "a longer look tells trends")
