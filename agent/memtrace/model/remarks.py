"""What has to be said beside any table: remainder, baseline, losses, what is off. Does not escape.

Texts only; where they go and how they are cut is up to the views.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memtrace.model.shapes import Container, Snapshot
from memtrace.model.units import size
from memtrace.samples import BaselineState, Lost


def unattributed(covered: Sequence[Container]) -> str:
    """Sum up what the ledger does not explain of these, which must not overlap."""
    known = [c for c in covered if c.page_cache.unattributed_bytes is not None]
    if not known:
        return "not attributed: unknown (needs the baseline)"
    rest = sum(c.page_cache.unattributed_bytes or 0 for c in known)
    cache = sum(c.memory.file_bytes or 0 for c in known)
    unknown = len(covered) - len(known)
    beside = f"; unknown for {unknown} of {len(covered)} rows" if unknown else ""
    return f"not attributed: {size(rest)} of {size(cache)} page cache{beside}"


def baseline(state: BaselineState) -> str:
    """Say how the cache from before the start is known."""
    parts = [f"baseline: {state.state}"]
    if state.reason:
        parts.append(state.reason)
    if state.files is not None:
        parts.append(f"{state.files} files")
    if state.bytes is not None:
        parts.append(size(state.bytes))
    if state.cost_seconds is not None:
        parts.append(f"took {state.cost_seconds:.1f} s")
    if state.age_seconds is not None:
        parts.append(f"{state.age_seconds:.0f} s ago")
    if state.unsettled_files:
        parts.append(f"{state.unsettled_files} files not settled yet")
    return ", ".join(parts)


def baseline_briefly(state: BaselineState) -> str:
    """Say it in a few words that change seldom."""
    age = "" if state.age_seconds is None else f", {rough_time(state.age_seconds)} ago"
    open_files = f", {state.unsettled_files} files open" if state.unsettled_files else ""
    return f"baseline: {state.state}{age}{open_files}"


def rough_time(seconds: float) -> str:
    """Return a duration in its largest unit, and below a minute in steps of ten seconds."""
    if seconds < 60:
        return "under 10 s" if seconds < 10 else f"{seconds // 10 * 10:.0f} s"
    for unit, length in (("d", 86400), ("h", 3600)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds // 60:.0f} min"


def losses(lost: Lost) -> str:
    """Name the losses; nothing lost is one word, so that its absence cannot mislead."""
    counts = {
        "ring events": lost.ring,
        "nested events": lost.recursion,
        "names": lost.names,
        "netlink messages": lost.netlink,
    }
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    if lost.map_full:
        parts.append(f"{size(lost.map_full)} without a row of its own (map full)")
    return f"lost: {', '.join(parts) or 'nothing'}"


def features_off(snapshot: Snapshot) -> Iterable[str]:
    """Say for each feature that is missing why it is."""
    for name, feature in snapshot.features.items():
        if not feature.enabled and not feature.on_demand:
            yield f"off: {name}: {feature.reason or 'no reason given'}"


def leftovers(faded: Sequence[Container]) -> str:
    """Say what removed cgroups without a row of their own still hold."""
    rest = sum(container.page_cache.attributed_bytes or 0 for container in faded)
    return f"{len(faded)} removed cgroups keep {size(rest)} of cache: not listed"
