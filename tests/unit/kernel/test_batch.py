"""How whole maps are read in chunks, against a made-up kernel with large hash buckets."""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Callable
from typing import Any

import pytest

from memtrace.kernel import batch
from memtrace.kernel.batch import Shape
from memtrace.kernel.errors import BpfError

SHAPE = Shape(fd=3, name="buckets", key_size=4, stride=8, max_entries=64)


def kernel(buckets: list[int], asked: list[int] | None = None) -> Callable[..., int]:
    """bpf_map_lookup_batch on a hash whose buckets hold that many elements: whole buckets only."""

    def lookup(
        fd: int, position: Any, token: Any, keys: Any, values: Any, count: Any, options: Any
    ) -> int:
        room, taken = count._obj.value, 0
        if asked is not None:
            asked.append(room)
        at = struct.unpack_from("=I", position.raw)[0] if position is not None else 0
        while at < len(buckets) and taken + buckets[at] <= room:
            for slot in range(buckets[at]):
                put(keys, taken + slot, struct.pack("=I", at * 100 + slot))
                put(values, taken + slot, struct.pack("=Q", slot))
            taken += buckets[at]
            at += 1
        struct.pack_into("=I", token, 0, at)
        count._obj.value = taken
        if at == len(buckets):
            return -errno.ENOENT
        return 0 if taken else -errno.ENOSPC

    return lookup


def put(target: Any, slot: int, element: bytes) -> None:
    """Write one element where C would."""
    ctypes.memmove(ctypes.addressof(target._obj) + slot * len(element), element, len(element))


def read(buckets: list[int], room: int, asked: list[int] | None = None) -> list[int]:
    """All keys read with that much room."""
    found: list[int] = []
    for keys, values, count in batch.batches(kernel(buckets, asked), SHAPE, room):
        assert len(keys) == count * 4
        assert len(values) == count * 8
        found += keys.cast("I")
    return found


def keys_of(buckets: list[int]) -> list[int]:
    """All keys the made-up kernel holds."""
    return [at * 100 + slot for at, size in enumerate(buckets) for slot in range(size)]


@pytest.mark.parametrize("buckets", [[], [0, 0], [1], [1, 2, 1], [4, 4, 4], [0, 3, 0, 1]])
def test_every_element_comes_once(buckets: list[int]) -> None:
    """Whatever the buckets, the elements are those of the map, in its order."""
    assert read(buckets, room=4) == keys_of(buckets)


def test_elements_that_come_with_the_end_are_kept() -> None:
    """ENOENT with a count is the last chunk, not an empty one."""
    assert read([2, 1], room=100) == keys_of([2, 1])


def test_a_large_bucket_doubles_the_room() -> None:
    """ENOSPC asks again from the same place with twice the room, and keeps it."""
    asked: list[int] = []
    assert read([1, 7, 2], room=2, asked=asked) == keys_of([1, 7, 2])
    assert asked == [2, 2, 4, 8, 8]


def test_room_does_not_grow_for_ever() -> None:
    """A kernel that always says ENOSPC is an error once the whole map would fit."""
    with pytest.raises(BpfError, match=r"read a batch of map buckets.*ENOSPC"):
        list(batch.batches(lambda *_: -errno.ENOSPC, SHAPE, 4))


@pytest.mark.parametrize("code", [524, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_missing_operation_is_recognised(code: int) -> None:
    """Kernels say in three ways that they cannot do it."""
    with pytest.raises(BpfError) as caught:
        list(batch.batches(lambda *_: -code, SHAPE, 4))
    assert batch.unsupported(caught.value)
    assert not batch.unsupported(BpfError(errno.EPERM, "read"))


def test_single_elements_are_grouped_alike() -> None:
    """Pairs come in chunks of the asked size, the last one short, none empty."""
    pairs = [(struct.pack("=I", number), struct.pack("=Q", number)) for number in range(5)]
    chunks = list(batch.grouped(iter(pairs), SHAPE, 2))
    assert [count for _, _, count in chunks] == [2, 2, 1]
    assert [key for keys, _, _ in chunks for key in keys.cast("I")] == list(range(5))
    assert list(batch.grouped(iter(()), SHAPE, 2)) == []
