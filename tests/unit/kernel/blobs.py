"""Builds small BTF blobs for tests, one type after the other; ids count from 1."""

from __future__ import annotations

import struct


class Blob:
    """A BTF blob in the making. Every `add` returns the new type's id."""

    def __init__(self) -> None:
        self._strings = b"\0"
        self._types: list[bytes] = []

    def add(
        self, kind: int, name: str = "", target: int = 0, records: bytes = b"", vlen: int = 0
    ) -> int:
        """One struct btf_type with `vlen` records behind it."""
        head = struct.pack("=3I", self.string(name), kind << 24 | vlen, target)
        self._types.append(head + records)
        return len(self._types)

    def string(self, text: str) -> int:
        """The offset of a new string."""
        if not text:
            return 0
        self._strings += text.encode() + b"\0"
        return len(self._strings) - len(text) - 1

    def composite(self, name: str, *members: tuple[str, int]) -> int:
        """A struct with members (name, type id)."""
        records = b"".join(
            struct.pack("=3I", self.string(member), inner, 0) for member, inner in members
        )
        return self.add(4, name, 8, records, len(members))

    def bytes(self, of_module: bool = False) -> bytes:
        """The blob, header first; a module's goes on where an empty kernel's strings end."""
        types, strings = b"".join(self._types), self._strings[of_module:]
        lengths = (0, len(types), len(types), len(strings))
        return struct.pack("=HBBI4I", 0xEB9F, 1, 0, 24, *lengths) + types + strings
