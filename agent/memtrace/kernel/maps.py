"""One BPF map: single elements and whole-map reads, as bytes. Decoding is wire.py's job."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator

from memtrace.kernel import batch
from memtrace.kernel.batch import CHUNK, Chunk
from memtrace.kernel.errors import BpfError, check
from memtrace.kernel.libbpf import libbpf, possible_cpus

HASH, ARRAY, PERCPU_HASH, PERCPU_ARRAY = 1, 2, 5, 6
LRU_HASH, LRU_PERCPU_HASH, PERCPU_CGROUP_STORAGE, RINGBUF = 9, 10, 21, 27
_PERCPU = frozenset((PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH, PERCPU_CGROUP_STORAGE))

ANY, NOEXIST, EXIST = 0, 1, 2
"""Flags of `put`: create or replace, create only, replace only."""


class Map:
    """A BPF map by its file descriptor. Sizes are bytes, `type` is enum bpf_map_type.

    A map found in a BpfObject belongs to that object and ends with it (`fd` becomes
    -1, and every use fails with EBADF); a map made by `create` is closed by `close`.
    """

    def __init__(
        self, fd: int, name: str, key_size: int, value_size: int, max_entries: int, type: int
    ) -> None:
        self.fd = fd
        self.name = name
        self.key_size = key_size
        self.value_size = value_size
        self.max_entries = max_entries
        self.type = type
        self._owned = False
        self._library = libbpf()

    @classmethod
    def create(cls, type: int, name: str, key_size: int, value_size: int, max_entries: int) -> Map:
        """Make a new map that outlives any object. Raises BpfError."""
        fd = libbpf().bpf_map_create(type, name.encode(), key_size, value_size, max_entries, None)
        check(fd, f"create map {name}")
        made = cls(fd, name, key_size, value_size, max_entries, type)
        made._owned = True
        return made

    @property
    def layout(self) -> tuple[int, int, int]:
        """Type, key size and value size: what two maps must share to stand for each other."""
        return self.type, self.key_size, self.value_size

    @property
    def stride(self) -> int:
        """Bytes of one element as read: per-CPU maps have one padded value per possible CPU."""
        if self.type not in _PERCPU:
            return self.value_size
        return _padded(self.value_size) * possible_cpus()

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, None when it is not there. Raises BpfError."""
        value = ctypes.create_string_buffer(self.stride)
        result = self._library.bpf_map_lookup_elem(self.fd, self._key(key), value)
        return value.raw if self._found(result, "read") else None

    def get_percpu(self, key: bytes) -> list[bytes]:
        """The value of `key` on each possible CPU, by CPU number; empty when it is not there."""
        raw = self.get(key) or b""
        step = _padded(self.value_size)
        return [raw[at : at + self.value_size] for at in range(0, len(raw), step)]

    def put(self, key: bytes, value: bytes, flags: int = ANY) -> None:
        """Set `key` to `value` (`stride` bytes). Raises BpfError: E2BIG full, EEXIST, ENOENT."""
        if len(value) != self.stride:
            raise ValueError(f"map {self.name}: value of {len(value)} bytes, not {self.stride}")
        result = self._library.bpf_map_update_elem(self.fd, self._key(key), value, flags)
        check(result, f"write map {self.name}")

    def delete(self, key: bytes) -> bool:
        """Remove `key`; False when it was not there. Raises BpfError."""
        result = self._library.bpf_map_delete_elem(self.fd, self._key(key))
        return self._found(result, "delete from")

    def items(self, chunk: int = CHUNK) -> Iterator[Chunk]:
        """Every element as (keys, values, count) chunks; see batch.Chunk for how long they live.

        Not a snapshot: what stays in the map during the walk is seen exactly once.
        """
        return self._chunks(self._library.bpf_map_lookup_batch, self._each, chunk)

    def drain(self, chunk: int = CHUNK) -> Iterator[Chunk]:
        """Like `items`, removing what it yields: bucket by bucket, under the lock (hash maps).

        No element is lost or seen twice. A program that looked an element up before its
        removal may still add to it: turn writers away (and let them finish) first.
        """
        operation = self._library.bpf_map_lookup_and_delete_batch
        return self._chunks(operation, self._each_removed, chunk)

    def close(self) -> None:
        """Forget the map; close it when it was made by `create`. May be called twice."""
        if self._owned and self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def _chunks(
        self,
        operation: Callable[..., int],
        each: Callable[[], Iterator[tuple[bytes, bytes]]],
        chunk: int,
    ) -> Iterator[Chunk]:
        room = max(1, min(chunk, self.max_entries))
        shape = batch.Shape(self.fd, self.name, self.key_size, self.stride, self.max_entries)
        started = False
        try:
            for part in batch.batches(operation, shape, room):
                started = True
                yield part
        except BpfError as error:
            if started or not batch.unsupported(error):
                raise
            yield from batch.grouped(each(), shape, room)

    def _keys(self) -> Iterator[bytes]:
        """Each key once, the next one found before this one is handed out.

        At most `max_entries`: a key deleted meanwhile makes the kernel start over.
        """
        key, following = None, ctypes.create_string_buffer(self.key_size)
        for _ in range(self.max_entries + 1):
            result = self._library.bpf_map_get_next_key(self.fd, key, following)
            if key is not None:
                yield key
            if not self._found(result, "walk"):
                return
            key = following.raw

    def _each(self) -> Iterator[tuple[bytes, bytes]]:
        for key in self._keys():
            value = self.get(key)
            if value is not None:
                yield key, value

    def _each_removed(self) -> Iterator[tuple[bytes, bytes]]:
        for key in self._keys():
            value = self._take(key)
            if value is not None:
                yield key, value

    def _take(self, key: bytes) -> bytes | None:
        """Remove and return in one step where the map type can, else in two."""
        value = ctypes.create_string_buffer(self.stride)
        result = self._library.bpf_map_lookup_and_delete_elem(self.fd, key, value)
        try:
            return value.raw if self._found(result, "take from") else None
        except BpfError as error:
            if not batch.unsupported(error):
                raise
        found = self.get(key)
        return found if self.delete(key) else None

    def _found(self, result: int, verb: str) -> bool:
        """True for success, False for ENOENT; raises BpfError for anything else."""
        if result == -errno.ENOENT:
            return False
        check(result, f"{verb} map {self.name}")
        return True

    def _key(self, key: bytes) -> bytes:
        if len(key) != self.key_size:
            raise ValueError(f"map {self.name}: key of {len(key)} bytes, not {self.key_size}")
        return key


def _padded(size: int) -> int:
    """Per-CPU values start at multiples of 8 bytes."""
    return -(-size // 8) * 8
