"""removed_leftover: a removed container's page cache is still there, charged to what is above."""

from __future__ import annotations

import shlex

from memtrace.model.shapes import Advice, Verdict
from memtrace.model.units import size
from memtrace.model.verdict import advice
from memtrace.model.verdict.case import MIB, Case, bytes_of
from memtrace.model.verdict.evidence import of_files

LEAST_BYTES = 16 * MIB


def removed_leftover(case: Case) -> Verdict | None:
    """Applies to a removed cgroup from 16 MiB on.

    The kernel keeps a dead cgroup as long as pages are charged to it, and counts them in every
    cgroup above (moby #29638). 16 MiB: less nobody looks for.
    """
    left = case.page_cache.attributed_bytes
    if case.cgroup.state != "removed" or left is None or left < LEAST_BYTES:
        return None
    return Verdict(
        "removed_leftover",
        f"It is gone, but {size(left)} of its page cache is still there and counts in the "
        "cgroups above: the kernel drops it when memory is needed.",
        "info",
        0.9,
        left,
        (bytes_of("left of its page cache", left), *of_files(case)),
        (
            advice.nothing("others may use the files; it goes when memory is needed", "none"),
            *_reclaim(case, left),
        ),
    )


def _reclaim(case: Case, left: int) -> tuple[Advice, ...]:
    """Since Linux 94968384dde1 ("memcg: introduce per-memcg reclaim interface") (in v5.19)."""
    above = case.cgroup.path.rpartition("/")[0]
    if case.around.mode != "v2" or not above:
        return ()
    paste = f"echo {left} > {shlex.quote(f'/sys/fs/cgroup{above}/memory.reclaim')}"
    why = "only if the figure of the cgroup above must shrink now"
    return (Advice("memory.reclaim", None, left, why, "files are read from disk again", paste),)
