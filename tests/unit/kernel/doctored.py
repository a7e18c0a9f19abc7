"""The running kernel's own types with one thing wrong: for readers and loaders that must refuse."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

VMLINUX = Path("/sys/kernel/btf/vmlinux")
_HEADER = struct.Struct("=HBBI4I")
_HEAD = struct.Struct("=3I")
# Bytes behind a struct btf_type, by kind: fixed ones, and ones for each of its `vlen` records.
_FIXED = {1: 4, 3: 12, 14: 4, 17: 4}
_EACH = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
_COMPOSITES = (4, 5)


class Place(NamedTuple):
    """Where one type stands in a blob, and how many bytes its record has."""

    name: str
    kind: int
    vlen: int
    at: int
    size: int


def places(blob: bytes) -> Iterator[Place]:
    """Every type of a sound blob."""
    _, _, _, head, types, length, strings, _ = _HEADER.unpack_from(blob)
    at, end, strings = head + types, head + types + length, head + strings
    while at < end:
        name, info, _ = _HEAD.unpack_from(blob, at)
        kind, vlen = info >> 24 & 0x1F, info & 0xFFFF
        size = _HEAD.size + _FIXED.get(kind, 0) + _EACH.get(kind, 0) * vlen
        yield Place(_string(blob, strings + name), kind, vlen, at, size)
        at += size


def renamed(blob: bytes, name: str, other: str) -> bytes:
    """Call something otherwise; both names have the same length."""
    assert len(name) == len(other)
    assert f"\0{name}\0".encode() in blob
    return blob.replace(f"\0{name}\0".encode(), f"\0{other}\0".encode())


def moved(blob: bytes, owner: str, member: str, offset: int) -> bytes:
    """Let a member begin at another byte of its struct."""
    strings = _HEADER.unpack_from(blob)
    names = strings[3] + strings[6]
    changed = bytearray(blob)
    for place in _composites(blob, owner):
        for record in range(place.at + _HEAD.size, place.at + place.size, 12):
            if _string(blob, names + _HEAD.unpack_from(blob, record)[0]) == member:
                struct.pack_into("=I", changed, record + 8, offset * 8)
    assert changed != blob, f"{owner} has no {member}"
    return bytes(changed)


def resized(blob: bytes, owner: str, size: int) -> bytes:
    """Let a struct have another size."""
    changed = bytearray(blob)
    for place in _composites(blob, owner):
        struct.pack_into("=I", changed, place.at + 8, size)
    return bytes(changed)


def _composites(blob: bytes, name: str) -> list[Place]:
    found = [place for place in places(blob) if place.kind in _COMPOSITES and place.name == name]
    assert found, f"no struct {name}"
    return found


def _string(blob: bytes, at: int) -> str:
    return blob[at : blob.index(b"\0", at)].decode()
