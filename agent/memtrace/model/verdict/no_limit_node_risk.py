"""no_limit_node_risk: the machine is short of memory, and this container has much and no limit."""

from __future__ import annotations

from memtrace.model.shapes import Verdict
from memtrace.model.units import percent, size
from memtrace.model.verdict import advice, confidence
from memtrace.model.verdict.case import Case, bytes_of, kept_bytes
from memtrace.model.verdict.evidence import of_cache

SHARE = 0.2


def no_limit_node_risk(case: Case) -> Verdict | None:
    """Applies without a limit, from a fifth of the machine, when less than a tenth of it is left.

    Left as the kubelet reckons: all memory without the working set of the root cgroup. There it
    evicts, and the kernel, which kills the largest, may take the kubelet itself (spegel #652,
    where such a DaemonSet held 30 % of small nodes). A fifth: less has company.
    """
    machine, usage = case.around.machine, case.memory.usage_bytes
    if not machine.short or machine.total_bytes is None or case.memory.limit_bytes is not None:
        return None
    if usage is None or usage < SHARE * machine.total_bytes or case.cgroup.path == "/":
        return None
    kept = kept_bytes(case)
    request = case.memory.working_set_bytes or usage
    return Verdict(
        "no_limit_node_risk",
        f"The machine is short of memory, and this has {size(usage)} of its "
        f"{size(machine.total_bytes)} ({percent(usage, machine.total_bytes)}) without a limit: "
        "others may be evicted or killed for it.",
        "warning",
        confidence.MEASURED,
        usage,
        (bytes_of("memory of the machine", machine.total_bytes), *of_cache(case)),
        (
            advice.limit(
                case,
                _limit(kept if kept is not None else usage, usage, machine.left_bytes or 0),
                f"{size(kept)} of it cannot be dropped; cache gives way below the limit",
                "more reads from the disk; it is killed alone if it needs more",
            ),
            advice.request(case, request, "what it needs, for the scheduler", "fewer pods fit"),
        ),
    )


def _limit(kept: int, usage: int, left: int) -> int:
    """Return what it keeps and a quarter more; but that has to fit into half of what is left."""
    return min(int(kept * advice.HEADROOM), usage + left // 2)
