"""Reads a whole BPF map in chunks with the kernel's batch operations. Knows no map by name.

One system call moves thousands of elements into two flat buffers, which are reused
from chunk to chunk: a caller decodes a chunk before it asks for the next one.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from memtrace.kernel.errors import ENOTSUPP, BpfError, check

CHUNK = 1024
"""Elements asked for per system call: buffers for four times as many cost more than they spare."""

Chunk = tuple[memoryview, memoryview, int]
"""(keys, values, count): count * key_size and count * stride bytes, valid until the next chunk."""

Operation = Callable[..., int]
Token = ctypes.Array[ctypes.c_char]
Filled = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a batch needs to know of a map. `stride`: bytes of one element's value(s)."""

    fd: int
    name: str
    key_size: int
    stride: int
    max_entries: int


class Buffers:
    """Room for `room` elements, as Python sees it and as C does."""

    def __init__(self, shape: Shape, room: int) -> None:
        self.room = room
        self._sizes = shape.key_size, shape.stride
        keys, values = (bytearray(room * size) for size in self._sizes)
        self._views = memoryview(keys), memoryview(values)
        self.keys = ctypes.c_char.from_buffer(keys)
        self.values = ctypes.c_char.from_buffer(values)

    def fill(self, operation: Operation, fd: int, position: Token | None, token: Token) -> Filled:
        """One system call: what it returned, and how many elements are in the buffers now."""
        count = ctypes.c_uint32(self.room)
        result = operation(
            fd,
            position,
            token,
            ctypes.byref(self.keys),
            ctypes.byref(self.values),
            ctypes.byref(count),
            None,
        )
        return result, count.value

    def chunk(self, count: int) -> Chunk:
        """The first `count` elements."""
        keys, values = self._views
        key_size, stride = self._sizes
        return keys[: count * key_size], values[: count * stride], count


def batches(operation: Operation, shape: Shape, room: int) -> Iterator[Chunk]:
    """Yield every element, `room` or fewer at a time.

    `operation` is bpf_map_lookup_batch or bpf_map_lookup_and_delete_batch. The kernel
    hands out whole hash buckets: ENOSPC means the next one is larger than the buffers,
    which then double; ENOENT means the end, and may come with the last elements.
    Raises BpfError; its errno on the first chunk tells whether the map type can do it.
    """
    buffers = Buffers(shape, room)
    token = ctypes.create_string_buffer(max(shape.key_size, 8))  # a bucket number, or a key
    position = None
    while True:
        result, count = buffers.fill(operation, shape.fd, position, token)
        if result == -errno.ENOSPC and buffers.room <= shape.max_entries:
            buffers = Buffers(shape, buffers.room * 2)
            continue
        if result != -errno.ENOENT:
            check(result, f"read a batch of map {shape.name}")
        if count:
            yield buffers.chunk(count)
        if result == -errno.ENOENT:
            return
        position = token


def grouped(pairs: Iterator[tuple[bytes, bytes]], shape: Shape, room: int) -> Iterator[Chunk]:
    """The same chunks from single (key, value) pairs, for map types without batch operations."""
    keys, values = bytearray(), bytearray()
    for key, value in pairs:
        keys += key
        values += value
        if len(keys) >= room * shape.key_size:
            yield memoryview(keys), memoryview(values), len(keys) // shape.key_size
            keys, values = bytearray(), bytearray()
    if keys:
        yield memoryview(keys), memoryview(values), len(keys) // shape.key_size


def unsupported(error: BpfError) -> bool:
    """Whether the kernel said it has no such operation for this map type (or at all)."""
    return error.errno in (ENOTSUPP, errno.EOPNOTSUPP, errno.EINVAL)
