"""The sampled heap profile that Go's runtime keeps of itself, read from outside.

The runtime notes every 512 KiB or so which calls allocated (runtime.MemProfileRate), and counts
what of that was freed. `find_profile` finds where, `read_profile` walks the list through a
function that reads the process. Programs that never call runtime.MemProfile (net/http/pprof
does) have a rate of 0 and an empty list. Knows no process and no names.
Source: runtime/mprof.go; scaleHeapSample in runtime/pprof/protomem.go.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from struct import Struct, unpack_from
from typing import NamedTuple

from memtrace.golang.elf import Elf
from memtrace.golang.machine import LEA_OPCODES, LOAD_OPCODES, code_of, is_data
from memtrace.golang.pclntab import Function
from memtrace.golang.refusal import Refusal, State

MAX_BUCKETS = 50_000
_MAX_STACK = 1024  # what GODEBUG=profstackdepth may be set to
_USUAL_STACK = 32
_MAX_ADDRESS = 1 << 47
_MAX_RATE = 1 << 40
_MEMORY = 1  # memProfile among the types of buckets

_FLUSH, _BUCKET = "runtime.mProf_FlushLocked", "runtime.stkbucket"
_CACHE, _SAMPLE = "runtime.allocmcache", "runtime.profilealloc"
FUNCTIONS = frozenset((_FLUSH, _BUCKET, _CACHE, _SAMPLE))

# struct bucket: next, allnext, typ, hash, size, nstk; the stack; memRecord, whose first words
# are the allocations and frees up to the last collection but one.
_HEADER = Struct("<8xQQ8xQQ")
_COUNTS = Struct("<QQ")
_WORD = Struct("<Q")

Read = Callable[[int, int], bytes]  # address, size -> that many bytes, or fewer; OSError


class ProfilePlaces(NamedTuple):
    """Link-time addresses of two variables of 64 bits."""

    buckets: int  # runtime.mbuckets, the first bucket
    rate: int  # runtime.MemProfileRate


class Held(NamedTuple):
    """What one call stack allocated that is still in use, scaled up from the samples.

    `stack` holds return addresses in the process, the innermost first.
    """

    stack: tuple[int, ...]
    objects: int
    size: int  # bytes


class HeapProfile(NamedTuple):
    """The profile: samples are one in `rate` bytes; not `complete` after MAX_BUCKETS."""

    rate: int
    held: tuple[Held, ...]
    complete: bool


def find_profile(elf: Elf, functions: dict[str, Function]) -> ProfilePlaces:
    """The variables; Refusal when two functions that must refer to one do not agree on it."""
    if not functions.keys() >= FUNCTIONS:
        raise Refusal(State.IMPLAUSIBLE, "the heap profile's functions are not in the program")
    flush, cache, sample = (
        code_of(elf, functions[name]).operands(LOAD_OPCODES) for name in (_FLUSH, _CACHE, _SAMPLE)
    )
    bucket = code_of(elf, functions[_BUCKET]).operands(LEA_OPCODES)
    return ProfilePlaces(_only(elf, flush & bucket), _only(elf, cache & sample))


def read_profile(buckets: int, rate: int, read: Read) -> HeapProfile:
    """The profile of a process, whose variables are at these addresses.

    Refusal, with the reason, where there is none; OSError from `read`.
    """
    every = _word(read, rate)
    if every == 0:
        raise Refusal(State.IMPLAUSIBLE, "the program keeps no heap profile")
    if every > _MAX_RATE:
        raise Refusal(State.IMPLAUSIBLE, f"a heap profile of one sample in {every} bytes")
    held = []
    address = _word(read, buckets)
    for _ in range(MAX_BUCKETS):
        if address == 0:
            break
        address, sampled = _read_bucket(read, address)
        if sampled and sampled.objects:
            held.append(_scaled(sampled, every))
    return HeapProfile(every, tuple(held), address == 0)


def _read_bucket(read: Read, address: int) -> tuple[int, Held | None]:
    """The next bucket's address and what is in this one; None where counts make no sense."""
    if not 0 < address < _MAX_ADDRESS or address % 8:
        raise Refusal(State.IMPLAUSIBLE, "the heap profile's list leads nowhere")
    usual = _HEADER.size + 8 * _USUAL_STACK + _COUNTS.size
    data = read(address, usual)
    if len(data) < _HEADER.size:
        raise Refusal(State.IMPLAUSIBLE, "the heap profile's list leads nowhere")
    following, kind, size, depth = _HEADER.unpack_from(data)
    if kind != _MEMORY or depth > _MAX_STACK:
        raise Refusal(State.IMPLAUSIBLE, "the heap profile's list holds something else")
    end = _HEADER.size + 8 * depth + _COUNTS.size
    data = data if end <= len(data) else read(address, end)
    if end > len(data):
        raise Refusal(State.IMPLAUSIBLE, "the heap profile's list leads nowhere")
    stack = unpack_from(f"<{depth}Q", data, _HEADER.size)
    allocated, freed = _COUNTS.unpack_from(data, end - _COUNTS.size)
    objects = allocated - freed
    sensible = objects >= 0 and objects * size < _MAX_ADDRESS
    return following, Held(stack, objects, objects * size) if sensible else None


def _scaled(held: Held, rate: int) -> Held:
    """What was most likely there, of which this was sampled."""
    each = held.size / held.objects
    chance = 1 - math.exp(-each / rate) if rate > 1 and each else 1.0
    return Held(held.stack, round(held.objects / chance), round(held.size / chance))


def _only(elf: Elf, found: set[int]) -> int:
    places = [address for address in found if is_data(elf, address, 8)]
    if len(places) != 1:
        raise Refusal(State.IMPLAUSIBLE, "the heap profile was not found in the runtime's code")
    return places[0]


def _word(read: Read, address: int) -> int:
    data = read(address, _WORD.size)
    if len(data) != _WORD.size:
        raise Refusal(State.IMPLAUSIBLE, "the heap profile's variables are not mapped")
    return int(_WORD.unpack(data)[0])
