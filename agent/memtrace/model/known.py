"""What was worked out for the previous sample, and which of it still holds.

A cgroup's figures follow from its own sample, those of the cgroups below it, the limits
above it, and what all of them were one sample ago. So they hold as long as nothing of
that moved, neither now nor the last time.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from operator import attrgetter
from typing import NamedTuple

from memtrace.model.go_shapes import GoTable
from memtrace.model.machine import Machine
from memtrace.model.memory import Limit, effective_limits, effective_swap_limits
from memtrace.model.rows import Tables
from memtrace.model.shapes import Container
from memtrace.model.slab import SlabTable
from memtrace.model.slab_culprits import Table
from memtrace.model.stacks import StackTable
from memtrace.model.totals import Totals
from memtrace.model.tree import Tree, grow
from memtrace.samples import CgroupSample

Cgroups = dict[int, CgroupSample]

_limits = attrgetter("limit_bytes", "swap_limit_bytes", "memsw_limit_bytes")
_NO_LIMITS = (None, None, None)


class Setting(NamedTuple):
    """What concerns every cgroup alike."""

    mode: str
    bound: int
    deltas_known: bool
    machine: Machine


class Frame(NamedTuple):
    """The tree, and what comes down from above in it."""

    tree: Tree
    limits: dict[int, Limit]
    swap_limits: dict[int, int | None]


class Known(NamedTuple):
    """One sample's cgroups by id and all that was made of them."""

    cgroups: Cgroups
    setting: Setting
    frame: Frame
    totals: dict[int, Totals]
    tables: dict[int, Tables]
    containers: dict[int, Container]
    moved: frozenset[int]
    slabs: dict[int, SlabTable | None]
    culprits: dict[int, Table]
    go: dict[int, GoTable | None]
    stacks: dict[int, StackTable | None]


def framed(cgroups: Cgroups, before: Known | None) -> Frame:
    """Return the frame of these cgroups: the one before as long as it fits."""
    if before is not None and before.cgroups.keys() == cgroups.keys():
        changed = _changed(cgroups, before.cgroups)
        if all(_place(cgroups[key]) == _place(before.cgroups[key]) for key in changed):
            return before.frame
    tree = grow(cgroups)
    limits = effective_limits(tree, cgroups)
    return Frame(tree, limits, effective_swap_limits(tree, cgroups, limits))


def moved(cgroups: Cgroups, frame: Frame, before: Known) -> frozenset[int]:
    """Return the cgroups that are not what they were or not where they were, and all above."""
    found = _changed(cgroups, before.cgroups)
    if frame is not before.frame:
        found |= _displaced(cgroups.keys(), frame, before.frame)
    found |= _beside_others(cgroups, frame, found)
    return frozenset(_with_ancestors(found, frame.tree.parent))


def limiting(key: int, cgroups: Cgroups, frame: Frame) -> int | None:
    """Return the cgroup that sets the memory limit in effect for another; None: there is none."""
    _, path = frame.limits[key]
    above = key if path is not None else None
    while above is not None and cgroups[above].path != path:
        above = frame.tree.parent.get(above)
    return above


def _beside_others(cgroups: Cgroups, frame: Frame, changed: Set[int]) -> set[int]:
    """Return those whose Go processes share a limit with what changed: so did their room in it."""
    return {
        key
        for key, cgroup in cgroups.items()
        if cgroup.go and key not in changed and limiting(key, cgroups, frame) in changed
    }


def _changed(cgroups: Cgroups, before: Cgroups) -> set[int]:
    return {
        key
        for key, cgroup in cgroups.items()
        if (known := before.get(key)) is not cgroup and known != cgroup
    }


def _place(cgroup: CgroupSample) -> tuple[object, ...]:
    """Return what the frame follows from."""
    memory = cgroup.memory
    limits = _NO_LIMITS if memory is None else _limits(memory)
    return (cgroup.parent_id, cgroup.path, cgroup.state, limits)


def _displaced(here: Set[int], frame: Frame, before: Frame) -> set[int]:
    """Return whom another tree or other limits concern, and who lost a child."""
    found = set(frame.tree.leaves ^ before.tree.leaves)
    for now, then in ((frame.limits, before.limits), (frame.swap_limits, before.swap_limits)):
        found |= {key for key, limit in now.items() if then.get(key) != limit}
    parents, earlier = frame.tree.parent, before.tree.parent
    found |= {above for key, above in earlier.items() if parents.get(key) != above}
    return found & here


def _with_ancestors(changed: Iterable[int], parent: dict[int, int]) -> set[int]:
    found: set[int] = set()
    for key in changed:
        above: int | None = key
        while above is not None and above not in found:
            found.add(above)
            above = parent.get(above)
    return found
