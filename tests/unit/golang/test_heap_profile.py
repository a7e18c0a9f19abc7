"""The heap profile's list: followed as far as it makes sense, scaled as pprof scales it."""

from __future__ import annotations

import math
from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.golang import heap_profile
from memtrace.golang.heap_profile import HeapProfile, read_profile
from memtrace.golang.refusal import Refusal

HEAD, RATE = 0x1000, 0x1008
EVERY = 512 << 10


class Memory:
    """Words and buckets at addresses; elsewhere nothing is mapped."""

    def __init__(self, rate: int = EVERY, first: int = 0, minor: int = 25) -> None:
        self.minor = minor
        self.parts = {HEAD: pack("<Q", first), RATE: pack("<Q", rate)}

    def bucket(
        self, at: int, following: int, stack: tuple[int, ...], size: int, live: int, kind: int = 1
    ) -> None:
        """A bucket with `live` objects of `size` bytes in use, of 1,000 ever, and 3 since."""
        self.put(at, following, stack, size, (1000, 1000 - live, 1, 0, 1, 0, 1, 0), kind)

    def put(
        self,
        at: int,
        following: int,
        stack: tuple[int, ...],
        size: int,
        counts: tuple[int, ...],
        kind: int = 1,
    ) -> None:
        """A bucket with allocations and frees until the last collection but one, and since."""
        header = pack("<6Q", 0, following, kind, 0, size, len(stack))
        pairs = zip(counts[::2], counts[1::2], strict=True)
        unread = bytes(16 if self.minor < 27 else 0)  # the same in bytes
        data = b"".join(pack("<2Q", *pair) + unread for pair in pairs)
        self.parts[at] = header + pack(f"<{len(stack)}Q", *stack) + data

    def read(self, address: int, size: int) -> bytes:
        """As pread does: less where less is mapped."""
        if address not in self.parts:
            raise OSError(5, "Input/output error")
        return self.parts[address][:size]


def profile(memory: Memory) -> HeapProfile:
    """What is read."""
    return read_profile(HEAD, RATE, memory.read, memory.minor)


def test_what_is_in_use_is_scaled_by_its_chance_to_be_seen() -> None:
    """Large objects are always seen; one of 512 KiB with 1 - 1/e; freed ones do not count."""
    memory = Memory(first=0x2000)
    memory.bucket(0x2000, 0x3000, (7, 8, 9), 512 << 10, 10)
    memory.bucket(0x3000, 0x4000, (7,), 1 << 30, 2)
    memory.bucket(0x4000, 0, (1,), 16, 0)
    seen = profile(memory)
    chance = 1 - math.exp(-1)
    assert seen.complete
    assert seen.rate == EVERY
    assert seen.held[0] == ((7, 8, 9), round(10 / chance), round(10 * (512 << 10) / chance))
    assert seen.held[1] == ((7,), 2, 2 << 30)
    assert len(seen.held) == 2


def test_every_allocation_is_counted_at_a_rate_of_one() -> None:
    """Nothing to scale."""
    memory = Memory(rate=1, first=0x2000)
    memory.bucket(0x2000, 0, (7,), 16, 5)
    assert profile(memory).held == (((7,), 5, 80),)


@pytest.mark.parametrize("minor", [19, 26, 27, 30])
def test_what_no_collection_published_yet_counts_before_the_second(minor: int) -> None:
    """As runtime.MemProfile has it, and only while nothing at all is published."""
    memory = Memory(rate=1, first=0x2000, minor=minor)
    memory.put(0x2000, 0x3000, (7,), 16, (0, 0, 5, 0, 4, 1, 3, 0))
    memory.put(0x3000, 0, (8,), 32, (0, 0, 1, 1, 0, 0, 0, 0))
    assert profile(memory).held == (((7,), 11, 176),)
    memory.put(0x3000, 0, (8,), 32, (1, 1, 1, 0, 0, 0, 0, 0))
    assert profile(memory).held == ()


def test_counts_that_make_no_sense_are_left_out() -> None:
    """More freed than allocated, no size, more than an address space."""
    memory = Memory(first=0x2000)
    memory.put(0x2000, 0x3000, (7,), 16, (1, 2, 0, 0, 0, 0, 0, 0))
    memory.put(0x3000, 0x4000, (7,), 0, (2, 1, 0, 0, 0, 0, 0, 0))
    memory.put(0x4000, 0, (7,), 1 << 46, (4, 1, 0, 0, 0, 0, 0, 0))
    assert profile(memory).held == ()


def test_deep_stacks_keep_their_innermost_calls() -> None:
    """Also those deeper than what is read at first; their counts stand behind the stack."""
    memory = Memory(first=0x2000)
    memory.bucket(0x2000, 0, tuple(range(128)), 1 << 30, 1)
    assert profile(memory).held[0].stack == tuple(range(32))
    assert profile(memory).held[0].objects == 1


def test_no_profile_has_a_reason() -> None:
    """A rate of 0 is a program that keeps none; an empty list is an empty profile."""
    with pytest.raises(Refusal, match="keeps no heap profile"):
        profile(Memory(rate=0))
    with pytest.raises(Refusal, match="one sample in"):
        profile(Memory(rate=1 << 50))
    assert profile(Memory()) == (EVERY, (), True)


@pytest.mark.parametrize(
    ("stack", "kind", "following"),
    [((1,), 2, 0), ((1,), 1, 0x2001), ((1,), 1, 1 << 47), (tuple(range(1025)), 1, 0)],
)
def test_a_list_that_makes_no_sense_is_refused(
    stack: tuple[int, ...], kind: int, following: int
) -> None:
    """Another kind of bucket, an address that is none, a stack too deep."""
    memory = Memory(first=0x2000)
    memory.bucket(0x2000, following, stack, 16, 1, kind)
    with pytest.raises(Refusal):
        profile(memory)


def test_a_list_without_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the bound, and it is not called complete."""
    monkeypatch.setattr(heap_profile, "MAX_BUCKETS", 10)
    memory = Memory(first=0x2000)
    memory.bucket(0x2000, 0x2000, (1,), 1 << 30, 1)
    seen = profile(memory)
    assert not seen.complete
    assert len(seen.held) == 10


@given(st.binary(max_size=500), st.integers(1, 1 << 40))
def test_no_bytes_raise_but_refusals(data: bytes, rate: int) -> None:
    """A bucket of any bytes."""
    memory = Memory(rate, 0x2000)
    memory.parts[0x2000] = data
    with suppress(Refusal, OSError):
        profile(memory)
