"""The sampled heap profile that Go's runtime keeps of itself, read from outside.

The runtime notes every 512 KiB or so which calls allocated (runtime.MemProfileRate), and counts
what of that was freed. `find_profile` finds where, `read_profile` walks the list through a
function that reads the process. Programs that never call runtime.MemProfile (net/http/pprof
does) have a rate of 0 and an empty list. Knows no process and no names.
Source: runtime/mprof.go; scaleHeapSample in runtime/pprof/protomem.go; for what the linker
leaves out, loadlib in cmd/link/internal/ld/lib.go.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from struct import Struct, unpack_from
from typing import NamedTuple

from memtrace.golang.elf import Elf
from memtrace.golang.machine import LEA_OPCODES, LOAD_OPCODES, code_of, is_data
from memtrace.golang.pclntab import Function, open_pclntab
from memtrace.golang.refusal import Refusal, State

MAX_BUCKETS = 50_000
_MAX_STACK = 1024  # what GODEBUG=profstackdepth may be set to
_USUAL_STACK = 32
KEPT_STACK = 32
"""Calls of a stack that are told, the innermost."""
_MAX_ADDRESS = 1 << 47
_MAX_RATE = 1 << 40
_MEMORY = 1  # memProfile among the types of buckets

_FLUSH, _BUCKET = "runtime.mProf_FlushLocked", "runtime.stkbucket"
_CACHE, _SAMPLE = "runtime.allocmcache", "runtime.profilealloc"
FUNCTIONS = frozenset((_FLUSH, _BUCKET, _CACHE, _SAMPLE))
# Whichever the linker looks for: the first before Go 1.23, the second since.
_READERS = frozenset(("runtime.MemProfile", "runtime.memProfileInternal"))

# struct bucket: next, allnext, typ, hash, size, nstk; the stack; memRecord: allocations and
# frees up to the last collection but one, and of three cycles since.
_HEADER = Struct("<8xQQ8xQQ")
_COUNTS = Struct("<8Q")
_COUNTS_WITH_BYTES = Struct("<" + 4 * "QQ16x")  # up to Go 1.26
_LAST_WITH_BYTES = 26
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


class _Bucket(NamedTuple):
    """One call stack: objects of `size` bytes each, by the `counts` of _COUNTS."""

    following: int
    stack: tuple[int, ...]
    size: int
    counts: tuple[int, ...]


class SwitchedOffError(Refusal):
    """The runtime takes no samples: runtime.MemProfileRate is 0."""


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


def left_out(elf: Elf) -> bool:
    """Whether the linker left the profile out, as nothing in the program reads it.

    Refusal where its functions cannot be told.
    """
    return not open_pclntab(elf).find(_READERS)


def read_profile(buckets: int, rate: int, read: Read, minor: int) -> HeapProfile:
    """The profile of a process, whose variables are at these addresses. `minor`: 25 of Go 1.25.

    Refusal, with the reason, where there is none; OSError from `read`. Before the second
    collection, everything that was counted, as runtime.MemProfile has it.
    """
    every = _word(read, rate)
    if every == 0:
        raise SwitchedOffError(State.IMPLAUSIBLE, "the program keeps no heap profile")
    if every > _MAX_RATE:
        raise Refusal(State.IMPLAUSIBLE, f"a heap profile of one sample in {every} bytes")
    found: list[_Bucket] = []
    layout = _COUNTS_WITH_BYTES if minor <= _LAST_WITH_BYTES else _COUNTS
    address = _word(read, buckets)
    while address and len(found) < MAX_BUCKETS:
        found.append(_read_bucket(read, address, layout))
        address = found[-1].following
    published = 2 if any(any(bucket.counts[:2]) for bucket in found) else None
    held = (_held(bucket, bucket.counts[:published], every) for bucket in found)
    return HeapProfile(every, tuple(each for each in held if each), address == 0)


def _read_bucket(read: Read, address: int, layout: Struct) -> _Bucket:
    if not 0 < address < _MAX_ADDRESS or address % 8:
        raise Refusal(State.IMPLAUSIBLE, "the heap profile's list leads nowhere")
    usual = _HEADER.size + 8 * _USUAL_STACK + layout.size
    data = read(address, usual)
    if len(data) < _HEADER.size:
        raise Refusal(State.IMPLAUSIBLE, "the heap profile's list leads nowhere")
    following, kind, size, depth = _HEADER.unpack_from(data)
    if kind != _MEMORY or depth > _MAX_STACK:
        raise Refusal(State.IMPLAUSIBLE, "the heap profile's list holds something else")
    end = _HEADER.size + 8 * depth + layout.size
    data = data if end <= len(data) else read(address, end)
    if end > len(data):
        raise Refusal(State.IMPLAUSIBLE, "the heap profile's list leads nowhere")
    stack = unpack_from(f"<{min(depth, KEPT_STACK)}Q", data, _HEADER.size)
    return _Bucket(following, stack, size, layout.unpack_from(data, end - layout.size))


def _held(bucket: _Bucket, counts: tuple[int, ...], rate: int) -> Held | None:
    """What was most likely there, of which this was sampled; None: nothing, or nonsense."""
    objects = sum(counts[::2]) - sum(counts[1::2])  # allocations, frees
    size = objects * bucket.size
    if objects <= 0 or not 0 < size < _MAX_ADDRESS:
        return None
    chance = 1 - math.exp(-bucket.size / rate) if rate > 1 else 1.0
    return Held(bucket.stack, round(objects / chance), round(size / chance))


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
