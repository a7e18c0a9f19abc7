"""Reads types out of BTF: which exist, and what is in them. Decides nothing.

libbpf has checked the sizes when it parsed the blob; what is read here stays inside a
type's own record. BTF that makes no sense is a BpfError, never a crash.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterator
from typing import NamedTuple

from memtrace.kernel.closing import Closing
from memtrace.kernel.errors import BpfError, check_pointer
from memtrace.kernel.libbpf import libbpf

# enum of BTF kinds, linux/btf.h.
KINDS = {
    "int": 1,
    "ptr": 2,
    "struct": 4,
    "union": 5,
    "enum": 6,
    "typedef": 8,
    "volatile": 9,
    "const": 10,
    "restrict": 11,
    "func": 12,
    "func_proto": 13,
    "var": 14,
    "datasec": 15,
    "type_tag": 18,
    "enum64": 19,
}
_MODIFIERS = frozenset((8, 9, 10, 11, 18))  # typedef, volatile, const, restrict, type_tag
_COMPOSITES = frozenset((4, 5))  # struct, union
_HEADER_BYTES = 12
_MAX_DEPTH = 32  # of nested members and chained modifiers; real types stay below ten
_MAX_PARTS = 4096  # anonymous parts of one type, all depths together; real types have below 100
_MAX_STRUCT_BYTES = 1 << 20  # the largest struct of 6.18, with every module, has 150 KiB


class Type(NamedTuple):
    """struct btf_type: `vlen` records follow it at `address`; `target` is a size or a type id."""

    name: str
    kind: int
    vlen: int
    signed: bool
    target: int
    address: int


class Variable(NamedTuple):
    """One variable of a data section, with its place in it in bytes."""

    name: str
    offset: int
    size: int


class Btf(Closing):
    """A parsed BTF blob. Close the ones made here; an object's own BTF ends with the object."""

    def __init__(self, handle: int, owned: bool = False) -> None:
        self._library = libbpf()
        self._handle: int | None = handle
        self._owned = owned

    @classmethod
    def of_kernel(cls) -> Btf:
        """The running kernel's types: several MB, close it soon. Raises BpfError."""
        handle = libbpf().btf__load_vmlinux_btf()
        return cls(check_pointer(handle, "read the kernel's BTF"), owned=True)

    @classmethod
    def of_module(cls, path: str, kernel: Btf) -> Btf:
        """A module's own types and the kernel's, which must stay open. Raises BpfError."""
        handle = libbpf().btf__parse_split(path.encode(), kernel._opened())
        return cls(check_pointer(handle, f"read the types in {path}"), owned=True)

    @classmethod
    def parse(cls, blob: bytes) -> Btf:
        """BTF from bytes. Raises BpfError."""
        handle = libbpf().btf__new(blob, len(blob))
        return cls(check_pointer(handle, "parse BTF"), owned=True)

    def find(self, kind: str, name: str) -> int | None:
        """The id of the first type of that kind (a key of KINDS) and name."""
        number = KINDS[kind]
        found = self._library.btf__find_by_name_kind(self._opened(), name.encode(), number)
        return int(found) if found > 0 else None

    def tracepoint_params(self, name: str) -> int | None:
        """How many arguments programs on this tracepoint get; None when there is no such one.

        The kernel passes its own `void *__data` first, which is not counted.
        """
        prototype = self._tracepoint(name)
        return None if prototype is None else max(prototype.vlen - 1, 0)

    def tracepoint_argument(self, name: str, owner: str) -> int | None:
        """Which argument of the tracepoint, from 0, is a pointer to struct `owner`; None: none."""
        prototype = self._tracepoint(name)
        if prototype is None:
            return None
        kinds = [kind for _, kind in self._records(prototype, "=2I")]
        places = (place for place, kind in enumerate(kinds) if self._points_to(kind, owner))
        return next((place - 1 for place in places), None)

    def has_type(self, kind: str, name: str) -> bool:
        """Whether a type of that kind and name exists."""
        return self.find(kind, name) is not None

    def has_member(self, owner: str, member: str) -> bool:
        """Whether struct (or union) `owner` has `member`, anonymous parts included."""
        found = self.find("struct", owner) or self.find("union", owner)
        return found is not None and self._has_member(found, member)

    def offset(self, owner: str, member: str) -> int | None:
        """Bytes from the start of struct `owner` to its own `member`; None: no such one.

        Raises BpfError when that is outside the struct, or the struct is larger than any.
        """
        found = self.find("struct", owner)
        if found is None:
            return None
        composite = self.at(found)  # `signed` is kind_flag here: bit fields, with 24-bit offsets
        mask = 0xFF_FFFF if composite.signed else 0xFFFF_FFFF
        for name, _, place in self._records(composite, "=3I"):
            if self._name(name) == member:
                return self._inside(composite, member, (place & mask) // 8)
        return None

    def _inside(self, owner: Type, member: str, offset: int) -> int:
        if offset < owner.target <= _MAX_STRUCT_BYTES:
            return offset
        where = f"{member} at byte {offset} of {owner.target}"
        raise BpfError(errno.ERANGE, f"read BTF: struct {owner.name} has {where}")

    def enum_value(self, enum: str, name: str) -> int | None:
        """The value of an enumerator; None when the enum or the name does not exist."""
        return next((value for known, value in self._enumerators(enum) if known == name), None)

    def variables(self, section: str) -> Iterator[Variable]:
        """The variables of a data section, e.g. ".rodata", of an opened object."""
        found = self.find("datasec", section)
        if found is None:
            return
        for var, offset, size in self._records(self.at(found), "=3I"):
            yield Variable(self.at(var).name, offset, size)

    def at(self, identity: int) -> Type:
        """One type by its id. Raises BpfError when there is none."""
        address = self._library.btf__type_by_id(self._opened(), identity)
        address = check_pointer(address, f"read BTF: type {identity}")
        name, info, target = struct.unpack("=3I", ctypes.string_at(address, _HEADER_BYTES))
        signed = bool(info >> 31)
        return Type(self._name(name), info >> 24 & 0x1F, info & 0xFFFF, signed, target, address)

    def close(self) -> None:
        """Free the blob. May be called twice."""
        if self._owned and self._handle is not None:
            self._library.btf__free(self._handle)
        self._handle = None

    def _tracepoint(self, name: str) -> Type | None:
        """The prototype of programs on this tracepoint; its first parameter is `void *__data`."""
        found = self.find("typedef", f"btf_trace_{name}")
        if found is None:
            return None
        pointer = self._expected("ptr", self._resolved(found))
        return self._expected("func_proto", self._resolved(pointer.target))

    def _points_to(self, identity: int, owner: str) -> bool:
        pointer = self._resolved(identity) if identity else None
        if pointer is None or pointer.kind != KINDS["ptr"] or not pointer.target:
            return False
        found = self._resolved(pointer.target)
        return (found.name, found.kind) == (owner, KINDS["struct"])

    def _opened(self) -> int:
        if self._handle is None:
            raise ValueError("the BTF is closed")
        return self._handle

    def _name(self, offset: int) -> str:
        name: bytes | None = self._library.btf__name_by_offset(self._opened(), offset)
        return (name or b"").decode(errors="replace")

    def _records(self, of: Type, layout: str) -> Iterator[tuple[int, ...]]:
        size = of.vlen * struct.calcsize(layout)
        return struct.iter_unpack(layout, ctypes.string_at(of.address + _HEADER_BYTES, size))

    def _resolved(self, identity: int) -> Type:
        """The type behind typedefs, const and the like."""
        for _ in range(_MAX_DEPTH):
            found = self.at(identity)
            if found.kind not in _MODIFIERS:
                return found
            identity = found.target
        raise BpfError(errno.ELOOP, f"read BTF: type {identity} leads nowhere")

    def _expected(self, kind: str, found: Type) -> Type:
        if found.kind != KINDS[kind]:
            raise BpfError(errno.EINVAL, f"read BTF: {found.name or 'a type'} is no {kind}")
        return found

    def _has_member(self, owner: int, member: str) -> bool:
        """Level by level, with a bound on all parts: doubled at each level they never end."""
        parts = [owner]
        for part in parts:
            composite = self._resolved(part)
            if composite.kind not in _COMPOSITES:
                continue
            for name, inner, _ in self._records(composite, "=3I"):
                called = self._name(name)
                if called == member:
                    return True
                if not called:
                    parts.append(inner)
            if len(parts) > _MAX_PARTS:
                raise BpfError(errno.ELOOP, f"read BTF: type {owner} contains itself")
        return False

    def _enumerators(self, enum: str) -> Iterator[tuple[str, int]]:
        """(name, value). 32-bit values read as signed, as kernels before 6.0 mark no sign."""
        narrow, wide = self.find("enum", enum), self.find("enum64", enum)
        if narrow is not None:
            for name, value in self._records(self.at(narrow), "=Ii"):
                yield self._name(name), value
        elif wide is not None:
            for name, low, high in self._records(self.at(wide), "=IIi"):
                yield self._name(name), high << 32 | low
