"""The cgroup hierarchy of one sample: who is below whom, and in which order to add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from memtrace.samples import CgroupSample

REMOVED = "removed"


class Tree(NamedTuple):
    """Everything by id; `top_down` lists parents before their children.

    `parent` has no entry for a top cgroup, `children` none for one without any; children
    are in the order of the sample.
    """

    top_down: tuple[int, ...]
    parent: dict[int, int]
    children: dict[int, list[int]]
    leaves: frozenset[int]


def grow(cgroups: Mapping[int, CgroupSample]) -> Tree:
    """Build the tree. A cgroup whose parent is not in the sample is a top cgroup."""
    parent: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    order: list[int] = []
    for key, cgroup in cgroups.items():
        above = cgroup.parent_id
        if above is None or above not in cgroups or above == key:
            order.append(key)
        else:
            parent[key] = above
            children.setdefault(above, []).append(key)
    for key in order:  # grows while it is walked: parents first, without recursion
        order.extend(children.get(key, ()))
    removed = {key for key, cgroup in cgroups.items() if cgroup.state == REMOVED}
    return Tree(tuple(order), parent, children, _leaves(order, parent, removed))


def _leaves(order: list[int], parent: dict[int, int], removed: set[int]) -> frozenset[int]:
    """Return the cgroups without a living child, so that their figures add up without overlap.

    A removed cgroup counts in every figure of its parent, so it is a leaf of its own only
    when no cgroup above it is one.
    """
    inner = {parent[key] for key in order if key not in removed and key in parent}
    leaves: set[int] = set()
    covered: set[int] = set()
    for key in order:
        if parent.get(key) in covered:
            covered.add(key)
        elif key not in inner:
            leaves.add(key)
            covered.add(key)
    return frozenset(leaves)
