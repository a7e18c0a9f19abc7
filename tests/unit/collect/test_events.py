"""Ring buffer events: hand-made bytes in, one small record out, whatever the bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.collect.events import CgroupChanged, PathSeen, TaskExited, TaskNamed, decode
from tests.unit.collect import records
from tests.unit.collect.records import MKDIR, NONE, PSEUDO, RELEASE, RMDIR, TRUNCATED

FILE = records.file(4711)
BY = records.process(1234, 99)


def event(record: bytes) -> object:
    """Decode."""
    return decode(memoryview(record))


def path(record: bytes) -> PathSeen:
    """Decode a path event."""
    seen = event(record)
    assert isinstance(seen, PathSeen)
    return seen


def test_a_path_arrives_leaf_first() -> None:
    """Components as the kernel walked them become a path from the root, with the links."""
    seen = path(records.path_event(FILE, b"16384", b"base", b"data"))
    assert (seen.file, seen.links, seen.relative) == (FILE, 1, "/data/base/16384")
    assert seen.placed


def test_a_subvolume_tells_its_file_system() -> None:
    """Where that is another device than the file's."""
    assert path(records.path_event(FILE, b"x", superblock=41)).superblock == 41
    assert path(records.path_event(FILE, b"x")).superblock is None


def test_a_file_without_a_dentry_has_no_path() -> None:
    """Flag 2: components are unknown, not empty."""
    assert path(records.path_event(FILE, b"stale", flags=NONE)).relative is None


@pytest.mark.parametrize(("flag", "told"), [(TRUNCATED, "…/memfd:x"), (PSEUDO, "memfd:x")])
def test_flags_of_a_path(flag: int, told: str) -> None:
    """Cut paths and names without a place are marked, and are below no mount."""
    seen = path(records.path_event(FILE, b"memfd:x", flags=flag))
    assert (seen.relative, seen.placed) == (told, False)


def test_what_lies_behind_the_used_bytes_is_not_read() -> None:
    """Scratch memory is reused: only `bytes` of it belong to this record."""
    assert path(records.path_event(FILE, b"new") + b"old\0older\0").relative == "/new"


def test_a_path_that_claims_more_than_there_is() -> None:
    """A count beyond the record takes what is there."""
    seen = path(struct.pack("<II16s5I4x", 1, 0, FILE, 0, 0, 0, 2**32 - 1, 0) + b"leaf\0")
    assert (seen.relative, seen.links) == ("/leaf", 0)


def test_a_process_gets_its_name_up_to_the_first_nul() -> None:
    """comm is 16 bytes with rubbish behind the NUL."""
    assert event(records.task_event(BY, b"postgres\0junk\0")) == TaskNamed(BY, b"postgres")


def test_a_name_of_sixteen_bytes_has_no_nul() -> None:
    """Then all of it is the name."""
    assert event(records.task_event(BY, b"x" * 16)) == TaskNamed(BY, b"x" * 16)


def test_an_exit_tells_what_the_process_needed() -> None:
    """A kernel thread has no peak; a kernel may not count disk I/O."""
    assert event(records.exit_event(BY, 7, 0, 4096)) == TaskExited(BY, 7, 0, 4096)
    untold = (1 << 64) - 1
    assert event(records.exit_event(BY, 0, untold, untold)) == TaskExited(BY, None, None, None)
    assert event(records.exit_event(BY, untold, 1, 2)) == TaskExited(BY, None, 1, 2)


@pytest.mark.parametrize("change", [MKDIR, RMDIR, RELEASE])
def test_cgroup_changes(change: int) -> None:
    """Made, removed, released: id, parent and path."""
    record = records.cgroup_event(change, 70, 1, "/pod/new")
    assert event(record) == CgroupChanged(change, 70, 1, "/pod/new")


def test_a_hostile_cgroup_name_survives_as_surrogates() -> None:
    """A directory's name may be any bytes; they come back out the same."""
    seen = event(records.cgroup_event(MKDIR, 70, 1, "/\udcff\n"))
    assert isinstance(seen, CgroupChanged)
    assert seen.path.encode("utf-8", "surrogateescape") == b"/\xff\n"


@pytest.mark.parametrize("record", [b"", b"\1\0\0", struct.pack("<I", 7), struct.pack("<I", 0)])
def test_short_and_unknown_records_are_nothing(record: bytes) -> None:
    """No header, or a type this version does not know."""
    assert event(record) is None


@pytest.mark.parametrize(("kind", "size"), [(1, 48), (2, 32), (3, 40), (4, 24), (5, 24), (6, 24)])
def test_a_record_cut_inside_its_fixed_part_is_nothing(kind: int, size: int) -> None:
    """One byte less than the fixed part, counted from wire.h, is too short."""
    whole = struct.pack("<I", kind) + bytes(size - 4)
    assert event(whole) is not None
    assert event(whole[:-1]) is None


@given(st.integers(0, 8), st.binary(max_size=300))
def test_no_bytes_raise(kind: int, rest: bytes) -> None:
    """Whatever arrives is an event or nothing."""
    seen = event(struct.pack("<I", kind) + rest)
    if isinstance(seen, PathSeen):
        assert seen.relative is None or seen.relative
    event(rest)
