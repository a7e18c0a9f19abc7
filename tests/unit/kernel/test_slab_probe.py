"""What the probe's maps hold, decoded: rows, caches, and names that are no text."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.kernel import wire
from memtrace.kernel.slab_probe import Cache, SlabProbe, decode_cache

Chunk = tuple[memoryview, memoryview, int]


def cache(size: int, name: bytes) -> bytes:
    """A record as the kernel side writes it."""
    return wire.SLAB_CACHE.pack(size, name)


class FakeMap:
    """A map that is a dict."""

    def __init__(self, elements: dict[bytes, bytes]) -> None:
        self.elements = elements

    def items(self) -> Iterator[Chunk]:
        for key, value in self.elements.items():  # chunks of one
            yield memoryview(bytearray(key)), memoryview(bytearray(value)), 1

    def get(self, key: bytes) -> bytes | None:
        return self.elements.get(key)

    def delete(self, key: bytes) -> bool:
        return self.elements.pop(key, None) is not None


class FakeObject:
    """bpf/slab.bpf.c, loaded."""

    def __init__(self) -> None:
        self.row = wire.SLAB_KEY.pack(7, 0xFFFF888000001000, wire.PROCESS.pack(100, 5), 262, 0)
        self.maps = {
            "slab_allocated": FakeMap({self.row: struct.pack("<Q", 1009)}),
            "slab_caches": FakeMap({struct.pack("<Q", 0xFFFF888000001000): cache(200, b"dentry")}),
        }
        self.closed = False

    def map(self, name: str) -> FakeMap:
        return self.maps[name]

    def close(self) -> None:
        self.closed = True


def test_it_is_unloaded_when_closed() -> None:
    """With all its maps."""
    opened = FakeObject()
    with SlabProbe(opened):  # type: ignore[arg-type]
        assert not opened.closed
    assert opened.closed


def test_rows_and_their_caches_are_told() -> None:
    """Each row's key with its count, the cache by the address in it."""
    opened = FakeObject()
    probe = SlabProbe(opened)  # type: ignore[arg-type]
    assert list(probe.rows()) == [(opened.row, 1009)]
    assert probe.cache(0xFFFF888000001000) == Cache("dentry", 200)
    assert probe.cache(1) is None
    probe.forget(opened.row)
    assert list(probe.rows()) == []


@pytest.mark.parametrize("name", [b"", b"\xff\xfe", b"a\nb", b"\x1b[2J", b"\xc3\xa9"])
def test_a_name_that_is_no_text_is_none(name: bytes) -> None:
    """A module may call its cache anything: nothing of it reaches a terminal."""
    assert decode_cache(cache(64, name)) == Cache(None, 64)


@given(st.binary(min_size=wire.SLAB_CACHE.size, max_size=wire.SLAB_CACHE.size))
def test_any_record_is_decoded(record: bytes) -> None:
    """Never an exception, and never a name that cannot be printed."""
    found = decode_cache(record)
    assert found.bytes >= 0
    assert found.name is None or (found.name.isprintable() and found.name.isascii())
