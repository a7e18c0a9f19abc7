"""The cgroup hierarchy of one sample: who is below whom, and in which order to add up."""

from __future__ import annotations

from typing import NamedTuple

from memtrace.samples import CgroupSample, Sample

REMOVED = "removed"


class Tree(NamedTuple):
    """`top_down` lists parents before their children.

    `parent` has no entry for a top cgroup, `children` none for one without any; children
    are in the order of the sample.
    """

    top_down: tuple[CgroupSample, ...]
    parent: dict[int, int]
    children: dict[int, list[int]]
    leaves: frozenset[int]


def grow(sample: Sample) -> Tree:
    """Build the tree. A cgroup whose parent is not in the sample is a top cgroup."""
    known = {cgroup.cgroup_id: cgroup for cgroup in sample.cgroups}
    parent: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    tops: list[CgroupSample] = []
    for cgroup in sample.cgroups:
        above = cgroup.parent_id
        if above is None or above not in known or above == cgroup.cgroup_id:
            tops.append(cgroup)
        else:
            parent[cgroup.cgroup_id] = above
            children.setdefault(above, []).append(cgroup.cgroup_id)
    order = tops
    for cgroup in order:  # grows while it is walked: parents first, without recursion
        order.extend([known[child] for child in children.get(cgroup.cgroup_id, ())])
    return Tree(tuple(order), parent, children, _leaves(order, parent))


def _leaves(order: list[CgroupSample], parent: dict[int, int]) -> frozenset[int]:
    """Return the cgroups without a living child, so that their figures add up without overlap.

    A removed cgroup counts in every figure of its parent, so it is a leaf of its own only
    when no cgroup above it is one.
    """
    inner = {
        parent[cgroup.cgroup_id]
        for cgroup in order
        if cgroup.state != REMOVED and cgroup.cgroup_id in parent
    }
    leaves: set[int] = set()
    covered: set[int] = set()
    for cgroup in order:
        key = cgroup.cgroup_id
        if parent.get(key) in covered:
            covered.add(key)
        elif key not in inner:
            leaves.add(key)
            covered.add(key)
    return frozenset(leaves)
