"""From a kill and the samples before it to the record that explains it. Pure.

Wires the other oom_* files of this package. What is told twice, by the probe at the kill and
by the last sample, is taken from the kill.
"""

from __future__ import annotations

from collections.abc import Mapping

from memtrace.kills import (
    CGROUP_KILL,
    COUNTERS,
    DAEMON,
    KERNEL,
    MACHINE,
    OomEvent,
    OomLevel,
    OomTask,
)
from memtrace.model.oom_composition import composition, level_of
from memtrace.model.oom_gaps import gaps_of
from memtrace.model.oom_go import rows_at_kill
from memtrace.model.oom_history import Background, moments
from memtrace.model.oom_shapes import Limited, Named, Postmortem, Process
from memtrace.model.oom_verdict import judge_kill
from memtrace.samples import Identity

_CONTAINERS = ("container", "sandbox")
_NEAR = 0.98  # usage may have fallen a little between the decision and the look at it


def paths_of(event: OomEvent, before: Background) -> dict[int, str]:
    """Every cgroup of an event whose path is known, by id: whom to ask names for."""
    told = {level.cgroup_id: level.path for level in event.levels}
    for task in (*event.victims, event.trigger):
        if task is not None and task.cgroup_id is not None and task.cgroup_id not in told:
            told[task.cgroup_id] = before.path(task.cgroup_id)
    return {number: path for number, path in told.items() if path is not None}


def explain(
    event: OomEvent, before: Background, names: Mapping[int, Identity], node: str, boot_id: str
) -> Postmortem:
    """The record of one kill. `names`: who is behind the cgroups of `paths_of`."""
    who = _Who(event, before, names)
    where = _limited(event, who, before)
    place = where.place.cgroup_id
    made = Postmortem(
        who.kind(),
        event,
        node,
        boot_id,
        tuple(who.process(victim) for victim in event.victims),
        who.process(event.trigger) if event.trigger else None,
        where,
        composition(event, place, before),
        moments(before.samples, place, event.monotonic) if place else (),
        before.container(place) if place else None,
    )
    sampled_at = before.samples[-1].monotonic if before.samples else None
    made = made._replace(go=rows_at_kill(event, made.sampled, sampled_at))
    made = made._replace(verdict=judge_kill(made, before))
    return made._replace(gaps=gaps_of(made, before))


class _Who:
    """Names for the cgroups of one event."""

    def __init__(self, event: OomEvent, before: Background, names: Mapping[int, Identity]) -> None:
        self._event = event
        self._paths = paths_of(event, before)
        self._names = names
        self._chain = [level.cgroup_id for level in event.levels]

    def named(self, cgroup_id: int | None) -> Named:
        """One cgroup, itself."""
        if cgroup_id is None:
            return Named(None, None, None)
        return Named(cgroup_id, self._paths.get(cgroup_id), self._names.get(cgroup_id))

    def process(self, task: OomTask) -> Process:
        """A process with the container it is in, which may be a cgroup further up."""
        here = self.named(task.cgroup_id)
        home = self._home(task.cgroup_id) if task.cgroup_id in self._chain else here.identity
        return Process(task, here._replace(identity=home or here.identity))

    def kind(self) -> str:
        """memcg, pod, node, userspace or unknown, as the contract has it."""
        event = self._event
        if event.source in (CGROUP_KILL, DAEMON):
            return "userspace"
        if event.source == COUNTERS or event.cgroup_id is None:
            return "unknown"
        if event.cgroup_id == MACHINE:
            return "node"
        return "pod" if self._is_above(event.cgroup_id) else "memcg"

    def _is_above(self, cgroup_id: int) -> bool:
        """Whether a limit above the victim's container was reached: others share it."""
        if cgroup_id not in self._chain:
            return False
        home = next((c for c in self._chain if self._contains(c)), self._chain[0])
        return self._chain.index(cgroup_id) > self._chain.index(home)

    def _home(self, cgroup_id: int | None) -> Identity | None:
        below = self._chain[self._chain.index(cgroup_id or 0) :]
        return next((self._names[c] for c in below if self._contains(c)), None)

    def _contains(self, cgroup_id: int) -> bool:
        identity = self._names.get(cgroup_id)
        return identity is not None and identity.kind in _CONTAINERS


def _limited(event: OomEvent, who: _Who, before: Background) -> Limited:
    """The cgroup that was out of memory: the kernel's word, else the victim's own cgroup.

    For a machine it is the root, whose usage is all that is charged.
    """
    place = event.cgroup_id
    if place == MACHINE:
        place = event.levels[-1].cgroup_id if event.levels else before.root_id
    elif place is None and event.source != KERNEL and event.levels:
        place = event.levels[0].cgroup_id
    level = level_of(event, place)
    if level is None:
        return Limited(who.named(place), None, None, None, event.total_bytes)
    return Limited(
        who.named(place),
        level.limit_bytes,
        level.usage_bytes,
        _limited_by(event, level),
        event.total_bytes,
    )


def _limited_by(event: OomEvent, level: OomLevel) -> str | None:
    """Memory, or on v1 memory and swap together, whichever stands at its limit."""
    if event.source != KERNEL or not event.cgroup_id:
        return None
    if _at(level.usage_bytes, level.limit_bytes):
        return "memory"
    return "swap" if _at(level.swap_bytes, level.swap_limit_bytes) else "memory"


def _at(usage: int | None, limit: int | None) -> bool:
    return usage is not None and limit is not None and usage >= _NEAR * limit
