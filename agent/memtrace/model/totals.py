"""Exact page-cache totals of every cgroup with all below it, living, removed and released.

The kernel's maps are local to a cgroup; this is the only place that adds them up.
"""

from __future__ import annotations

from operator import add
from typing import NamedTuple

from memtrace.model.tree import Tree
from memtrace.samples import KINDS, Ledger

_KINDS = len(KINDS)


class Totals(NamedTuple):
    """Bytes added by kind, removed by reason, and cached before; None where any part is unknown."""

    added: tuple[int, ...]
    removed: tuple[int, ...]
    baseline_bytes: int | None

    @property
    def attributed_bytes(self) -> int | None:
        """What should be cached now."""
        if self.baseline_bytes is None:
            return None
        return self.baseline_bytes + sum(self.added) - sum(self.removed)


def roll_up(tree: Tree) -> dict[int, Totals]:
    """Return the totals by cgroup id, children added to parents, lowest first."""
    flows: dict[int, list[int]] = {}
    baselines: dict[int, int | None] = {}
    for cgroup in tree.top_down:
        flows[cgroup.cgroup_id] = _own_flows(cgroup.ledger)
        baselines[cgroup.cgroup_id] = _own_baseline(cgroup.ledger)
    for cgroup in reversed(tree.top_down):
        above = tree.parent.get(cgroup.cgroup_id)
        if above is not None:
            flows[above] = list(map(add, flows[above], flows[cgroup.cgroup_id]))
            baselines[above] = plus(baselines[above], baselines[cgroup.cgroup_id])
    return {
        key: Totals(tuple(flow[:_KINDS]), tuple(flow[_KINDS:]), baselines[key])
        for key, flow in flows.items()
    }


def plus(left: int | None, right: int | None) -> int | None:
    """Add, unknown if either is."""
    return None if left is None or right is None else left + right


def _own_flows(ledger: Ledger) -> list[int]:
    """Return what the cgroup itself and its released children added and removed."""
    own = (*ledger.added, *ledger.removed)
    departed = (*ledger.departed_added, *ledger.departed_removed)
    return list(map(add, own, departed))


def _own_baseline(ledger: Ledger) -> int | None:
    return plus(ledger.baseline_bytes, ledger.departed_baseline_bytes)
