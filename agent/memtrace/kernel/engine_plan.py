"""The plan for an engine: what BCC cannot do of it is off, by name and reason. Decides only."""

from __future__ import annotations

from dataclasses import replace

from memtrace.kernel.engines import BCC, Choice
from memtrace.kernel.go_plan import go_gc_feature
from memtrace.kernel.plan import SLAB_CENSUS, OnDemand, Plan, make_plan
from memtrace.samples import Feature

REASON = "not under the bcc engine"
_LOST = {
    "baseline": "its dialect has no callbacks: what was cached before memtrace started is unknown, "
    "only growth is shown",
    SLAB_CENSUS: "its dialect has no callbacks: no walk over the kernel's slabs",
    "slab_culprits": "who makes kernel memory (dentries, inodes) grow is not known",
}
_PARTIAL_SHMEM = (
    "partial: up to 31 pages per CPU late until quiet; files deleted meanwhile count as removed "
    "only; no walk to correct it"
)
_GO_GC = Feature(
    False, f"{REASON}: Go programs are only looked at from time to time, not at each collection"
)


def planned(choice: Choice) -> Plan:
    """What to attach with the chosen engine. Never raises, as make_plan."""
    plan = make_plan(choice.facts)
    return _under_bcc(plan) if choice.name == BCC and not plan.blockers else plan


def planned_go_gc(choice: Choice) -> Feature:
    """Whether garbage collections of Go programs can be told with it."""
    return _GO_GC if choice.name == BCC else go_gc_feature(choice.facts)


def _under_bcc(plan: Plan) -> Plan:
    blockers: tuple[str, ...] = ()
    if plan.reparents:
        blockers = ("the bcc engine cannot follow removed cgroups on this kernel (Linux 7)",)
    features = {name: _feature(name, feature) for name, feature in plan.features.items()}
    on_demand = {
        name: OnDemand((), f"{REASON}: watching {name} needs libbpf") for name in plan.on_demand
    }
    return replace(plan, baseline=False, features=features, on_demand=on_demand, blockers=blockers)


def _feature(name: str, feature: Feature) -> Feature:
    if name == "shmem" and feature.enabled:
        return Feature(True, _PARTIAL_SHMEM)
    return Feature(False, f"{REASON}: {_LOST[name]}") if name in _LOST else feature
