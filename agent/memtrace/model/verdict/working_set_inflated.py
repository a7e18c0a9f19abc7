"""working_set_inflated: the kubelet counts as working set what the kernel would give back."""

from __future__ import annotations

from memtrace.model.shapes import Advice, Verdict
from memtrace.model.units import size
from memtrace.model.verdict import advice
from memtrace.model.verdict.case import MIB, Case, bytes_of
from memtrace.model.working_set import given_back

SHARE = 0.5
LEAST_BYTES = 64 * MIB


def working_set_inflated(case: Case) -> Verdict | None:
    """Applies from half of the working set and 64 MiB of active file cache and slab.

    Half: from there on the figure that the kubelet evicts for says less about the program than
    about what it read. 64 MiB: less moves no eviction.
    """
    figures, back = case.working_set, given_back(case.working_set)
    counted = figures.working_set_bytes
    if back is None or counted is None or back < LEAST_BYTES or back < SHARE * counted:
        return None
    return Verdict(
        "working_set_inflated",
        f"{size(back)} of the {size(counted)} that the kubelet counts as working set is file "
        "cache and kernel objects that the kernel gives back when memory is needed.",
        "info",
        0.9,
        back,
        (
            bytes_of("memory usage", figures.usage_bytes),
            bytes_of("working set as the kubelet counts it", counted),
            bytes_of("active file cache", figures.active_file_bytes),
            bytes_of("reclaimable slab", figures.reclaimable_slab_bytes),
            bytes_of("anonymous memory (heap, stacks)", figures.rss_bytes),
        ),
        (
            advice.nothing(
                "it costs nothing while memory is free",
                "the kubelet counts it when the node is short",
            ),
            _request(case, counted),
        ),
    )


def _request(case: Case, counted: int) -> Advice:
    """The current request is not known here."""
    why = "short of memory, the kubelet first evicts pods whose working set exceeds their request"
    return advice.request(case, counted, why, "fewer pods fit on the node")
