"""What is read out of a running program is what its own runtime says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memtrace.golang.heap_profile import read_profile
from memtrace.golang.refusal import Refusal
from memtrace.golang.symbolize import Symbols
from tests.golang.process import Subject
from tests.golang.programs import Program
from tests.golang.toolchains import CHOSEN

MIB = 1 << 20
SPAN = 64 << 10  # what answering takes, in spans of the runtime
NOT_HEAP = 2 * MIB  # a limit counts other memory, too, which moves in the background
HELD = 64
PROFILE_TOLERANCE = 0.5  # 64 samples: five standard deviations of 10 %


@pytest.fixture
def subject(built: Program) -> Iterator[Subject]:
    """A running, stripped program."""
    with Subject(built.stripped) as running:
        yield running


def number(subject: Subject, address: int | None) -> int:
    """A variable of 32 bits."""
    assert address is not None
    return int.from_bytes(subject.read_variable(address, 4), "little")


def test_figures_are_those_of_memstats(subject: Subject) -> None:
    """In use, idle, released, allocated and goal, up to what asking for them takes."""
    subject.ask("hold", HELD)
    subject.ask("gc")
    said, state = subject.ask("stats"), subject.state()
    assert state is not None
    assert state.heap_live >= HELD * MIB
    assert abs(state.heap_in_use - said["in_use"]) <= SPAN
    assert abs(state.heap_idle - said["idle"]) <= SPAN + MIB
    assert abs(state.heap_released - said["released"]) <= SPAN + MIB
    assert abs(state.total_allocated - said["total"]) <= SPAN
    assert abs(state.total_allocated - state.total_freed - said["alloc"]) <= SPAN
    assert state.heap_goal == said["goal"]


def test_settings_follow_the_program(subject: Subject) -> None:
    """SetGCPercent, SetMemoryLimit and GOMAXPROCS, also when they are switched off."""
    assert subject.binary.places is not None
    before = subject.state()
    subject.ask("hold", HELD)
    subject.ask("percent", 50)
    subject.ask("limit", 100 * MIB)
    subject.ask("procs", 3)
    subject.ask("gc")  # the first allocation would start one
    said, state = subject.ask("stats"), subject.state()
    assert state is not None
    assert (state.gogc, state.memory_limit) == (50, 100 * MIB)
    assert abs(state.heap_goal - said["goal"]) <= NOT_HEAP
    assert state.heap_goal <= 100 * MIB
    assert number(subject, subject.binary.places.gomaxprocs) == 3
    subject.ask("percent", -1)
    said, state = subject.ask("stats"), subject.state()
    assert state is not None
    assert state.gogc is None
    assert abs(state.heap_goal - said["goal"]) <= NOT_HEAP
    assert before is None or (before.gogc, before.memory_limit) == (100, None)


def test_collections_are_counted(subject: Subject) -> None:
    """As many as runtime.MemStats counts."""
    assert subject.binary.places is not None
    for _ in range(7):
        subject.ask("gc")
    cycles = number(subject, subject.binary.places.cycles)
    assert cycles == subject.ask("stats")["cycles"] >= 7


def test_the_heap_profile_names_who_holds_memory(built: Program, subject: Subject) -> None:
    """The function that allocated what is still in use; sampled, so about as much."""
    binary = subject.binary
    assert binary.profile is not None
    subject.ask("hold", HELD)
    for _ in range(3):
        subject.ask("gc")
    buckets, rate = (binary.running_at(each, subject.mapped) for each in binary.profile)
    profile = read_profile(buckets, rate, subject.read, built.minor)
    with open(f"/proc/{subject.process.pid}/exe", "rb") as file:
        symbols = Symbols(file.fileno())
    shift = binary.base - subject.mapped
    held = sum(
        each.size
        for each in profile.held
        if "main.holdMebibyte" in {symbols.name(pc - 1 + shift) for pc in each.stack}
    )
    symbols.close()
    assert profile.rate == 512 << 10
    assert profile.complete
    assert abs(held / (HELD * MIB) - 1) < PROFILE_TOLERANCE


# runtime.init of 1.19 overwrites what GODEBUG said.
@pytest.mark.parametrize("release", [each for each in CHOSEN if each != "1.19"])
def test_a_program_without_a_profile_says_so(built: Program) -> None:
    """With GODEBUG=memprofilerate=0 there is none, and the reason is a sentence."""
    with Subject(built.stripped, GODEBUG="memprofilerate=0") as subject:
        assert subject.binary.profile is not None
        places = (
            subject.binary.running_at(each, subject.mapped) for each in subject.binary.profile
        )
        with pytest.raises(Refusal, match="keeps no heap profile"):
            read_profile(*places, subject.read, built.minor)
