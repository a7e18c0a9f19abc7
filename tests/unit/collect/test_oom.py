"""Records of kills: decoded, and put together by decision."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.collect.oom import MAX_VICTIMS, NOT_FIRST, QUIET_NS, TOO_MANY, Grouping, Kill, decode
from memtrace.kernel import wire
from memtrace.kills import KERNEL, MACHINE, NOT_CURRENT, READ, UNREADABLE, GoMemory, OomEvent
from tests.unit.collect.kill_records import PAGE, first, go, member

SECOND = 1_000_000_000


def decoded(record: bytes) -> Kill:
    """One record that makes sense."""
    kill = decode(memoryview(record), PAGE)
    assert kill is not None
    return kill


def told(*records: bytes, now: int = SECOND) -> list[OomEvent]:
    """The decisions that are complete at `now`."""
    grouping = Grouping()
    for record in records:
        grouping.add(decoded(record))
    return [event for event, _ in grouping.complete(now)]


def test_a_record_is_decoded_in_bytes() -> None:
    """Pages become bytes; the peak is at least what is resident; paths are from the root."""
    kill = decoded(first(42, at=5))
    assert (kill.victim.pid, kill.victim.comm, kill.victim.cgroup_id) == (42, "hog", 7)
    assert kill.victim.rss_bytes == kill.victim.peak_bytes == 4 * PAGE
    assert kill.victim.swap_bytes is None
    assert kill.cause is not None
    assert kill.cause.trigger.rss_bytes is None
    levels = [(level.path, level.usage_bytes, level.limit_bytes) for level in kill.cause.levels]
    assert levels == [
        ("/top/in", 10 * PAGE, None),
        ("/top", 100 * PAGE, 100 * PAGE),
        ("/", 1000 * PAGE, None),
    ]


def test_a_machine_without_memory_is_told_from_a_cgroup() -> None:
    """No cgroup was out of memory, or it is not known which."""
    machine, unknown = decoded(first(1, 1, cgroup=0)), decoded(first(1, 1, cgroup=(1 << 64) - 1))
    assert machine.cause is not None
    assert machine.cause.cgroup_id == MACHINE
    assert unknown.cause is not None
    assert unknown.cause.cgroup_id is None


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (wire.OOM_GO_UNTOLD, None),
        (wire.OOM_GO_READ, GoMemory(READ, b"\x64".ljust(wire.OOM_GO_BYTES, b"\0"))),
        (wire.OOM_GO_NOT_CURRENT, GoMemory(NOT_CURRENT)),
        (wire.OOM_GO_UNREADABLE, GoMemory(UNREADABLE)),
        (99, None),
    ],
)
def test_a_go_program_has_its_memory_or_a_reason(state: int, told: GoMemory | None) -> None:
    """Bytes only of what was read; nothing of what is no Go program; the trigger has none."""
    kill = decoded(first(1, 1, controller=go(state, b"\x64")))
    assert kill.victim.go == told
    assert kill.cause is not None
    assert kill.cause.trigger.go is None
    assert kill.cause.trigger.comm == "trigger"


@given(st.binary(max_size=2600))
def test_garbage_is_no_kill_and_no_error(garbage: bytes) -> None:
    """Whatever comes: nothing, or a kill."""
    decode(memoryview(garbage), PAGE)


@given(st.integers(0, 2000), st.binary(max_size=300))
def test_a_cut_or_garbled_record_is_no_error(length: int, garbage: bytes) -> None:
    """A record that begins well."""
    decode(memoryview(first(1, 1)[:length] + garbage), PAGE)


def test_two_kills_are_two_decisions_in_the_order_of_time() -> None:
    """Also of one killer, told in another order."""
    events = told(first(2, at=20), first(1, at=10))
    assert [event.victims[0].pid for event in events] == [1, 2]
    assert {len(event.victims) for event in events} == {1}


def test_a_group_is_one_decision() -> None:
    """One cause, every victim once, and the trigger of the first."""
    (event,) = told(first(1, at=10), member(2, 10, 11), member(3, 10, 12), member(2, 10, 13))
    assert [victim.pid for victim in event.victims] == [1, 2, 3]
    assert event.kills == 3
    assert event.trigger is not None
    assert event.trigger.comm == "trigger"
    assert (event.source, event.cgroup_id, event.boot_ns) == (KERNEL, 7, 10)


def test_a_group_is_told_when_it_was_quiet_for_long_enough() -> None:
    """Once, and `due` says when."""
    grouping = Grouping()
    assert grouping.due(0) is None
    grouping.add(decoded(first(1, at=10)))
    grouping.add(decoded(member(2, 10, 1000)))
    assert grouping.complete(QUIET_NS + 999) == []
    assert grouping.due(1000) == QUIET_NS / 1e9
    assert len(grouping.complete(QUIET_NS + 1000)) == 1
    assert grouping.complete(SECOND) == []


def test_a_group_whose_first_record_was_lost_says_so() -> None:
    """Victims are known, the cause is not."""
    (event,) = told(member(2, 10, 11))
    assert event.trigger is None
    assert event.cgroup_id is None
    assert event.gaps == (NOT_FIRST,)


def test_a_group_is_bounded() -> None:
    """A fork bomb's end is one record of a size that can be kept."""
    many = [member(pid, 10, 11) for pid in range(2, MAX_VICTIMS + 10)]
    (event,) = told(first(1, at=10), *many)
    assert len(event.victims) == MAX_VICTIMS
    assert event.gaps == (TOO_MANY,)
