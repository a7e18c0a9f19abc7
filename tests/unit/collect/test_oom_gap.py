"""Kills while nobody watched, out of counters."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.collect.oom_gap import FILE, KillCounters, Known, _parse
from memtrace.host.hierarchy import Hierarchy
from memtrace.kills import COUNTERS, OomEvent
from tests.unit.host import trees


class Machine:
    """A root with one v1 cgroup, whose counters are set by hand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "state"
        self.boot(1)
        self.set(0, 0)

    def boot(self, number: int) -> None:
        """Start anew."""
        boot_id = str(UUID(int=number))
        trees.write(self.root, "proc/sys/kernel/random/boot_id", f"{boot_id}\n")

    def set(self, cgroup: int, machine: int) -> None:
        """What the kernel counts."""
        trees.write(self.root, "cg/web/memory.oom_control", f"under_oom 0\noom_kill {cgroup}\n")
        trees.write(self.root, "proc/vmstat", f"pgfault 1\noom_kill {machine}\n")

    @property
    def id(self) -> int:
        """The cgroup's id."""
        return (self.root / "cg/web").stat().st_ino

    def open(self) -> KillCounters:
        """memtrace starts."""
        return KillCounters(self.state, Hierarchy("v1", self.root / "cg", 1, 1), self.root)


def save(counters: KillCounters) -> None:
    """Keep them as they are."""
    counters.save(counters.now())


def missed(machine: Machine, recorded: dict[int, int]) -> list[OomEvent]:
    """What memtrace tells when it starts again."""
    counters = machine.open()
    return counters.missed(counters.read(), Known(Counter(recorded), Counter()))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without a kill."""
    return Machine(tmp_path)


def test_without_saved_counters_nothing_was_missed(machine: Machine) -> None:
    """The first start ever: when the kernel counted what is unknown."""
    machine.set(3, 9)
    assert missed(machine, {}) == []


def test_what_was_counted_meanwhile_is_told_late(machine: Machine) -> None:
    """By cgroup, and of those that are gone by the machine's counter alone."""
    machine.set(1, 1)
    save(machine.open())
    machine.set(3, 8)
    here, gone = missed(machine, {})
    assert (here.source, here.kills, here.cgroup_id) == (COUNTERS, 2, machine.id)
    assert here.levels[0].path == "/web"
    assert (gone.kills, gone.cgroup_id, gone.levels) == (5, None, ())
    assert here.since is not None


def test_what_has_a_record_is_not_told_again(machine: Machine) -> None:
    """Killed after the counters were saved, but recorded before memtrace ended."""
    save(machine.open())
    machine.set(3, 3)
    assert [event.kills for event in missed(machine, {machine.id: 2})] == [1]
    assert missed(machine, {machine.id: 3}) == []


def test_the_first_of_a_group_is_told_once(machine: Machine) -> None:
    """The kernel counts it twice, and how many groups there were, too."""

    def count(kills: int, groups: int) -> None:
        trees.write(machine.root, "proc/vmstat", f"oom_kill {kills}\n")
        counted = f"oom_kill {kills}\noom_group_kill {groups}\n"
        trees.write(machine.root, "cg/web/memory.oom_control", counted)

    count(2, 1)
    save(machine.open())
    count(6, 2)  # a group of three
    (late,) = missed(machine, {})
    assert (late.kills, late.cgroup_id) == (3, machine.id)
    assert missed(machine, {machine.id: 3}) == []


def test_counters_of_another_boot_say_nothing(machine: Machine) -> None:
    """Ids and counts begin anew."""
    machine.set(1, 1)
    save(machine.open())
    machine.boot(2)
    machine.set(3, 3)
    assert missed(machine, {}) == []


def test_a_directory_that_cannot_be_written_is_named(machine: Machine) -> None:
    """And is no error."""
    machine.state.write_text("a file is in the way")
    counters = machine.open()
    save(counters)
    assert str(machine.state) in counters.problem


@given(st.binary(max_size=200))
def test_garbage_is_as_no_file(garbage: bytes) -> None:
    """Whatever stands there."""
    assert _parse(garbage, "boot-1") is None


def test_the_file_is_its_owners_alone(machine: Machine) -> None:
    """As everything in the state directory."""
    save(machine.open())
    assert (machine.state / FILE).stat().st_mode & 0o777 == 0o600
