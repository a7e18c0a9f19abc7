"""shmem: most of the memory is shared memory or files in tmpfs, which only swap can free."""

from __future__ import annotations

from memtrace.model.shapes import Advice, Verdict
from memtrace.model.units import percent, size
from memtrace.model.verdict import advice, confidence
from memtrace.model.verdict.case import MIB, Case, kept_bytes
from memtrace.model.verdict.evidence import of_cache

SHARE = 0.5
LEAST_BYTES = 64 * MIB
FULL = 0.9


def shmem(case: Case) -> Verdict | None:
    """Applies from half of the usage and 64 MiB; a warning where it fills nine tenths of a limit.

    Looks like page cache in every graph and is none: tmpfs, emptyDir with medium Memory, POSIX
    and System V shared memory, memfd (Documentation/filesystems/tmpfs.rst).
    """
    amount, usage = case.memory.shmem_bytes, case.memory.usage_bytes
    if amount is None or not usage or amount < max(LEAST_BYTES, SHARE * usage):
        return None
    limit, kept = case.memory.limit_bytes, kept_bytes(case)
    full = bool(limit) and kept is not None and kept >= FULL * (limit or 0)
    return Verdict(
        "shmem",
        f"{size(amount)} of {size(usage)} ({percent(amount, usage)}) is shared memory or files "
        "in tmpfs: it counts as cache, but the kernel cannot drop it.",
        "warning" if full else "info",
        confidence.of_cache(case),
        amount,
        of_cache(case),
        (_delete(amount), *_limit(case, full, kept)),
    )


def _delete(amount: int) -> Advice:
    why = f"{size(amount)} stays until its files are deleted; a sizeLimit bounds them"
    setting = "what is kept in tmpfs or emptyDir (medium: Memory)"
    return Advice(setting, None, None, why, "files on disk are slower")


def _limit(case: Case, full: bool, kept: int | None) -> tuple[Advice, ...]:
    if not full or kept is None:
        return ()
    why = "a quarter more than cannot be dropped, if this use is right"
    return (advice.limit(case, int(kept * advice.HEADROOM), why, "more memory for this container"),)
