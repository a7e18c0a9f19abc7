"""dirty_bound: much of the memory is file data that has to be written before it can be dropped."""

from __future__ import annotations

from memtrace.model.shapes import Advice, Verdict
from memtrace.model.units import percent, size
from memtrace.model.verdict import advice, confidence
from memtrace.model.verdict.case import MIB, Case, at_limit, bytes_of
from memtrace.model.verdict.causes import filled_by
from memtrace.model.verdict.evidence import of_cache

SHARE = 0.2
LEAST_BYTES = 32 * MIB


def dirty_bound(case: Case) -> Verdict | None:
    """Applies from a fifth of the usage and 32 MiB, dirty or being written.

    A fifth: vm.dirty_ratio's default, at which the kernel makes whoever writes wait
    (Documentation/admin-guide/sysctl/vm.rst). At the limit it is a warning: reclaim has to wait
    for the disk, and cgroup v1 does not write back by cgroup.
    """
    cache, usage = case.page_cache, case.memory.usage_bytes
    if cache.dirty_bytes is None or cache.writeback_bytes is None or not usage:
        return None
    amount = cache.dirty_bytes + cache.writeback_bytes
    if amount < max(LEAST_BYTES, SHARE * usage):
        return None
    full = at_limit(case)
    then = "and at the limit everybody waits for that" if full else "which takes the disk's time"
    return Verdict(
        "dirty_bound",
        f"{size(amount)} of {size(usage)} ({percent(amount, usage)}) is file data that is not on "
        f"disk yet{filled_by(case)}: it has to be written before it can be dropped, {then}.",
        "warning" if full else "info",
        confidence.of_cache(case),
        amount,
        (
            bytes_of("waiting to be written", cache.dirty_bytes),
            bytes_of("being written", cache.writeback_bytes),
            *of_cache(case),
        ),
        (_write_earlier(), advice.nothing("it is written within half a minute", "none")),
    )


def _write_earlier() -> Advice:
    why = "sync_file_range() or fdatasync() every few MiB keeps the amount small"
    return Advice("how much is written at once", None, None, why, "writes wait for the disk")
