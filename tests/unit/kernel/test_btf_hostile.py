"""Broken types of a real kernel: each question ends in an answer or a BpfError, soon."""

from __future__ import annotations

import contextlib
import resource
import struct
import time
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrace.kernel.btf import Btf
from memtrace.kernel.errors import BpfError, cause
from memtrace.kernel.plan import QUESTIONS
from memtrace.kernel.support import ask
from tests.unit.kernel.blobs import Blob
from tests.unit.kernel.doctored import VMLINUX, moved, places, resized

pytestmark = pytest.mark.timeout(60)

KIB_ALLOWED = 64 * 1024
SECONDS_ALLOWED = 5.0  # 0.02 s on a quiet machine
ASKED = (
    {owner for owner, _ in (*QUESTIONS.members, *QUESTIONS.offsets, *QUESTIONS.layout)}
    | {enum for enum, _ in QUESTIONS.enums}
    | {f"btf_trace_{name}" for name in QUESTIONS.tracepoints}
    | {"bpf_func_id"}
)


@lru_cache(maxsize=1)
def real() -> tuple[bytes, tuple[int, ...]]:
    """This kernel's types, and the bytes of those that memtrace asks for, with the header."""
    if not VMLINUX.exists():
        pytest.skip("this kernel shows no types")
    blob = VMLINUX.read_bytes()
    asked = [place for place in places(blob) if place.name in ASKED]
    telling = [at for place in asked for at in range(place.at, place.at + place.size)]
    return blob, (*range(24), *telling)


def answered(blob: bytes) -> None:
    """Ask all that memtrace asks; a BpfError is an answer."""
    started = time.monotonic()
    with contextlib.suppress(BpfError), Btf.parse(blob) as btf:
        ask(btf, QUESTIONS)
    assert time.monotonic() - started < SECONDS_ALLOWED


def peak_kib() -> int:
    """The most memory this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0), st.integers(0, 7)), min_size=1, max_size=16))
def test_flipped_bits_end_in_an_answer(flips: list[tuple[int, int]]) -> None:
    """Whatever bits of the header and of the types that are asked for have flipped."""
    blob, telling = real()
    changed, before = bytearray(blob), peak_kib()
    for where, bit in flips:
        changed[telling[where % len(telling)]] ^= 1 << bit
    answered(bytes(changed))
    assert peak_kib() - before < KIB_ALLOWED


@settings(max_examples=30, deadline=None)
@given(st.integers(0))
def test_a_cut_blob_is_refused(length: int) -> None:
    """A prefix of any length is no BTF."""
    blob, _ = real()
    with pytest.raises(BpfError, match="cannot parse BTF"):
        Btf.parse(blob[: length % len(blob)])


def test_a_place_outside_its_struct_is_an_error() -> None:
    """A member beyond the end, and a struct of no or of absurd size, are refused by name."""
    blob, _ = real()
    for changed, told in (
        (moved(blob, "xarray", "xa_head", 1 << 20), "xa_head at byte 1048576 of"),
        (resized(blob, "inode", 0), "inode has i_sb at byte"),
        (resized(blob, "inode", (1 << 32) - 8), "of 4294967288"),
    ):
        with Btf.parse(changed) as btf, pytest.raises(BpfError, match=told):
            ask(btf, QUESTIONS)


def test_parts_that_double_end_in_an_error() -> None:
    """A struct of 64 nameless copies of itself would be 64^32 parts: it ends, and says so."""
    blob = Blob()
    blob.add(4, "inside", 8, struct.pack("=3I", 0, 1, 0) * 64, 64)
    with Btf.parse(blob.bytes()) as btf, pytest.raises(BpfError, match="ELOOP"):
        btf.has_member("inside", "absent")


def test_the_cause_is_taken_from_what_libbpf_said() -> None:
    """A field that is gone is named; types that do not fit are called so; else nothing is."""
    what = "<byte_off> [101] struct inode.i_ino (0:3 @ offset 24)"
    gone = f"failed to resolve CO-RE relocation {what}"
    assert cause(f"36: <invalid CO-RE relocation>\n{gone}\n") == (
        "this kernel has no struct inode.i_ino"
    )
    assert "make no sense" in cause("libbpf: failed to perform CO-RE relocations: -34\n")
    assert cause("libbpf: prog 'x': failed to load: -1\n") == ""
