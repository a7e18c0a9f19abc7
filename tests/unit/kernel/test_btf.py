"""What the BTF reader finds in small hand-made blobs, and what it says about broken ones."""

from __future__ import annotations

import struct

import pytest

from memtrace.kernel.btf import Btf, Variable
from memtrace.kernel.errors import BpfError
from tests.unit.kernel.blobs import Blob

INT, PTR, ENUM, TYPEDEF, CONST, FUNC_PROTO, VAR, DATASEC, ENUM64 = 1, 2, 6, 8, 10, 13, 14, 15, 19


def int_type(blob: Blob) -> int:
    """A 4-byte int."""
    return blob.add(INT, "int", 4, struct.pack("=I", 32))


def tracepoint(blob: Blob, name: str, params: int) -> None:
    """typedef void (*btf_trace_<name>)(void *, ...) with that many parameters in all."""
    number = int_type(blob)
    records = struct.pack("=2I", 0, number) * params
    prototype = blob.add(FUNC_PROTO, "", 0, records, params)
    blob.add(TYPEDEF, f"btf_trace_{name}", blob.add(PTR, "", prototype))


def test_a_tracepoints_own_data_is_not_a_parameter() -> None:
    """The kernel's void *__data is left out: three C parameters are two arguments."""
    blob = Blob()
    tracepoint(blob, "mark_victim", 3)
    with Btf.parse(blob.bytes()) as btf:
        assert btf.tracepoint_params("mark_victim") == 2
        assert btf.tracepoint_params("absent") is None


def test_an_argument_is_found_by_the_struct_it_points_to() -> None:
    """Behind a const, too; the kernel's own void * is none, and a number is no pointer."""
    blob = Blob()
    number = int_type(blob)
    cache = blob.composite("kmem_cache", ("flags", number))
    to_cache = blob.add(PTR, "", blob.add(CONST, "", cache))
    nothing = blob.add(PTR, "", 0)
    records = b"".join(struct.pack("=2I", 0, kind) for kind in (nothing, number, to_cache))
    prototype = blob.add(FUNC_PROTO, "", 0, records, 3)
    blob.add(TYPEDEF, "btf_trace_alloc", blob.add(PTR, "", prototype))
    with Btf.parse(blob.bytes()) as btf:
        assert btf.tracepoint_argument("alloc", "kmem_cache") == 1
        assert btf.tracepoint_argument("alloc", "task_struct") is None
        assert btf.tracepoint_argument("absent", "kmem_cache") is None


def test_a_tracepoint_that_is_no_function_is_an_error() -> None:
    """A btf_trace_ typedef of an int is bad BTF, said in one sentence."""
    blob = Blob()
    blob.add(TYPEDEF, "btf_trace_odd", int_type(blob))
    with Btf.parse(blob.bytes()) as btf, pytest.raises(BpfError, match="int is no ptr"):
        btf.tracepoint_params("odd")


def test_members_are_found_in_anonymous_parts() -> None:
    """page.lru counts even where it sits in a nameless struct, behind a const."""
    blob = Blob()
    number = int_type(blob)
    inner = blob.add(CONST, "", blob.composite("", ("lru", number)))
    other = blob.composite("other", ("hidden", number))
    blob.composite("page", ("flags", number), ("", inner), ("named", other))
    with Btf.parse(blob.bytes()) as btf:
        assert btf.has_member("page", "flags")
        assert btf.has_member("page", "lru")
        assert not btf.has_member("page", "hidden")
        assert not btf.has_member("folio", "flags")


def test_types_are_told_apart_by_kind() -> None:
    """A struct is not a typedef of the same name."""
    blob = Blob()
    blob.composite("folio", ("flags", int_type(blob)))
    with Btf.parse(blob.bytes()) as btf:
        assert btf.has_type("struct", "folio")
        assert not btf.has_type("typedef", "folio")


def test_enumerators_have_their_values() -> None:
    """Narrow and wide enums give numbers, negative and large ones too."""
    blob = Blob()
    narrow = struct.pack("=IiIi", blob.string("NR_SHMEM"), 22, blob.string("NONE"), -1)
    blob.add(ENUM, "node_stat_item", 4, narrow, 2)
    wide = struct.pack("=3I", blob.string("HUGE"), 5, 1)
    blob.add(ENUM64, "wide", 8, wide, 1)
    with Btf.parse(blob.bytes()) as btf:
        assert btf.enum_value("node_stat_item", "NR_SHMEM") == 22
        assert btf.enum_value("node_stat_item", "NONE") == -1
        assert btf.enum_value("node_stat_item", "absent") is None
        assert btf.enum_value("absent", "NR_SHMEM") is None
        assert btf.enum_value("wide", "HUGE") == (1 << 32) + 5


def test_a_data_section_lists_its_variables() -> None:
    """Each variable comes with its offset and size."""
    blob = Blob()
    number = int_type(blob)
    var = blob.add(VAR, "factor", number, struct.pack("=I", 1))
    blob.add(DATASEC, ".rodata", 12, struct.pack("=3I", var, 8, 4), 1)
    with Btf.parse(blob.bytes()) as btf:
        assert list(btf.variables(".rodata")) == [Variable("factor", 8, 4)]
        assert list(btf.variables(".data")) == []


@pytest.mark.parametrize(
    "blob", [b"", b"BTF", bytes(64), Blob().bytes()[:-1], b"\x9f\xeb\x01\x00" + b"\xff" * 60]
)
def test_what_is_no_btf_is_an_error(blob: bytes) -> None:
    """Empty, short, foreign and cut blobs are refused, never a crash."""
    with pytest.raises(BpfError, match="cannot parse BTF"):
        Btf.parse(blob)


def test_a_loop_of_types_ends_in_an_error() -> None:
    """A typedef of itself and a struct inside itself end, and say so."""
    blob = Blob()
    blob.add(TYPEDEF, "btf_trace_loop", 1)
    blob.composite("inside", ("", 2))
    with Btf.parse(blob.bytes()) as btf:
        with pytest.raises(BpfError, match="ELOOP"):
            btf.tracepoint_params("loop")
        with pytest.raises(BpfError, match="ELOOP"):
            btf.has_member("inside", "absent")


def test_a_type_that_does_not_exist_is_an_error() -> None:
    """An id beyond the end raises."""
    blob = Blob()
    int_type(blob)
    with Btf.parse(blob.bytes()) as btf, pytest.raises(BpfError, match="type 77"):
        btf.at(77)


def test_closed_btf_is_not_read() -> None:
    """Using it after close is a ValueError; closing twice is harmless."""
    btf = Btf.parse(Blob().bytes())
    btf.close()
    btf.close()
    with pytest.raises(ValueError, match="closed"):
        btf.find("struct", "page")


def test_members_have_their_offsets() -> None:
    """In bytes; of the struct's own members only."""
    blob = Blob()
    number = int_type(blob)
    records = struct.pack("=6I", blob.string("first"), number, 0, blob.string("second"), number, 64)
    blob.add(4, "plain", 16, records, 2)
    with Btf.parse(blob.bytes()) as btf:
        assert [btf.offset("plain", name) for name in ("first", "second")] == [0, 8]
        assert btf.offset("plain", "third") is None
        assert btf.offset("absent", "first") is None
