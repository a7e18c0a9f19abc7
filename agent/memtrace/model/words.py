"""Drivers, verdicts and advice in words, as "write by postgres -> /data/base/16384".

Does not escape or cut.
"""

from __future__ import annotations

from memtrace.model.shapes import Advice, Container, Driver, Evidence, Verdict, WorkingSet
from memtrace.model.slab_words import slab_cause
from memtrace.model.units import size
from memtrace.model.working_set import given_back
from memtrace.samples import DriverRow, FileRow, Swap

VERBS: dict[str, str] = {
    "read": "read",
    "write": "write",
    "mmap": "mmap fault",
    "readahead": "readahead call",
    "sendfile": "sendfile",
    "splice": "splice",
    "copy_file_range": "file copy",
    "fallocate": "fallocate",
    "exec": "program start",
    "io_uring": "io_uring",
    "metadata": "metadata",
    "shmem": "shared memory",
    "kernel": "kernel work",
    "other": "other I/O",
}

REASONS: dict[str, str] = {
    "reclaim": "memory was needed",
    "truncate": "file made shorter",
    "unlink": "file deleted",
    "drop": "caches dropped",
    "other": "other reasons",
}

REASON_OF_KILL: dict[str, str] = {
    "memcg": "killed at its memory limit",
    "pod": "killed at a memory limit it shares",
    "node": "killed because the machine was out of memory",
    "userspace": "killed by a decision in user space",
    "unknown": "killed for want of memory",
}


def cause(driver: Driver | None) -> str:
    """Return who did what to which file; empty when nothing is known."""
    if driver is None:
        return ""
    what = target(driver.row)
    verb = VERBS.get(driver.row.kind, driver.row.kind)
    who = driver.row.comm or (f"pid {driver.row.tgid}" if driver.row.tgid else "")
    done = f"{verb} by {who}" if who else verb
    return f"{done} -> {what}" if what else done


def working_set(figures: WorkingSet) -> str:
    """Return what the kubelet counts and what of that is no burden; empty when unknown."""
    back = given_back(figures)
    if back is None or figures.usage_bytes is None or figures.working_set_bytes is None:
        return ""
    counted = f"{size(figures.working_set_bytes)} of {size(figures.usage_bytes)}"
    sure = figures.reclaimable_bytes is not None
    least, unsaid = ("", "") if sure else ("at least ", " (v1 does not tell the part of slab)")
    return (
        f"The kubelet counts {counted} as working set; {least}{size(back)} of that would be "
        f"given back under pressure{unsaid}."
    )


def swap(figures: Swap | None) -> str:
    """Return how much of the machine's swap is used; empty without swap."""
    if figures is None or not figures.total_bytes:
        return ""
    return f"{size(figures.used_bytes)} of {size(figures.total_bytes)} swap used"


def top_cause(container: Container) -> str:
    """Return what put most in, into the cache or as kernel objects, of late or else ever."""
    driver, culprit = container.rows.cause, container.culprits.latest
    if culprit is None or (driver is not None and _amounts(driver) >= culprit.amounts):
        return cause(driver)
    return slab_cause(culprit)


def _amounts(driver: Driver) -> tuple[int, int]:
    return (driver.added_delta_bytes or 0, driver.added_bytes)


def target(row: DriverRow | FileRow) -> str:
    """Return the file as its container sees it, else as the host does, else by number."""
    name = row.container_path or row.path
    if name or row.file is None:
        return name or ""
    return f"inode {row.file.inode} on {device_name(row.file.device)}"


def device_name(device: int) -> str:
    """Return "major:minor" of a device number in the kernel's own layout."""
    return f"{device >> 20}:{device & 0xFFFFF}"


# What a verdict's row says, in at most 14 characters.
VERDICTS: dict[str, str] = {
    "page_cache_reclaimable": "cache, no leak",
    "cache_at_limit": "cache at limit",
    "cache_thrash": "cache thrashes",
    "dirty_bound": "unwritten data",
    "shmem": "shared memory",
    "slab_reclaimable": "kernel objects",
    "anon_growth": "own memory",
    "go_live_growth": "Go heap grows",
    "go_heap_idle": "Go heap idle",
    "go_goal_over_limit": "GC over limit",
    "gomemlimit_at_limit": "Go limit tight",
    "gc_death_spiral": "GC spiral",
    "gogc_low": "GOGC too low",
    "gomaxprocs_over_quota": "too many procs",
    "no_limit_node_risk": "no limit, risk",
    "working_set_inflated": "WSS inflated",
    "removed_leftover": "left behind",
    "swap_in_use": "swapping",
    "healthy": "ok",
    "not_enough_evidence": "unclear",
}
_COUNTS = ("GOGC", "GOMAXPROCS")  # settings whose values are no bytes
_MARKS = {"warning": "! ", "critical": "!!"}


def verdict_briefly(verdict: Verdict) -> str:
    """Return the verdict in a few words, marked where it needs attention: "! " or "!!"."""
    text = VERDICTS.get(verdict.id, verdict.id.replace("_", " "))
    return _MARKS.get(verdict.severity, "") + text


def verdict_in_full(verdict: Verdict) -> str:
    """Return the claim with its severity."""
    return f"{verdict.severity}: {verdict.claim}"


def advice_in_full(advice: Advice) -> str:
    """Return what to change, to what, why, and what that costs."""
    if advice.setting == "nothing":
        change = "change nothing"
    elif advice.setting == "run":
        change = f"run: {advice.proposed}"
    elif advice.proposed == "unset":
        unset = advice.current is None
        change = f"leave {advice.setting} unset" if unset else f"take {advice.setting} away"
    elif advice.current is None and advice.proposed is None:
        change = f"look at {advice.setting}"
    elif advice.current is None:
        change = f"set {advice.setting} to {_value(advice, advice.proposed)}"
    else:
        change = f"set {advice.setting} from {_value(advice, advice.current)}"
        change = f"{change} to {_value(advice, advice.proposed)}"
    cost = f" (cost: {advice.cost})" if advice.cost else ""
    return f"{change}: {advice.why}{cost}"


def evidence_value(evidence: Evidence) -> str:
    """Return the number a verdict rests on, with its unit; a dash when unknown."""
    value = evidence.value
    if value is None or isinstance(value, str):
        return value or "-"
    if evidence.unit == "bytes":
        return size(int(value))
    return f"{value:g} {evidence.unit}".rstrip()


def _value(advice: Advice, value: int | str | None) -> str:
    """Return what a setting is set to: an amount of memory, unless it is known to be a count."""
    if isinstance(value, int) and advice.setting not in _COUNTS:
        return size(value)
    return "-" if value is None else str(value)
