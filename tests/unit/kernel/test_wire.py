"""The mirror of bpf/include/wire.h against the header's own text, without a compiler."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtrace.kernel import wire
from tests.unit.kernel.layouts import MIRRORS, NUMBERS, Member, assert_mirrored

HEADER = Path(__file__).parents[3] / "bpf" / "include" / "wire.h"
SIZES = {"__u64": 8, "__u32": 4, "__s32": 4, "char": 1}


def code() -> str:
    """The header without its comments."""
    return re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)


def numbers() -> dict[str, int]:
    """Every #define and enumerator with its value."""
    found: dict[str, int] = {}
    for name, value in re.findall(r"#define (MT_\w+) +\(?(-?\d+)\)?", code()):
        found[name] = int(value)
    for body in re.findall(r"enum \w+ \{(.*?)\}", code(), flags=re.DOTALL):
        following = 0
        for name, value in re.findall(r"(\w+)(?:\s*=\s*(\w+))?\s*,", body):
            found[name] = int(value) if value else following
            following = found[name] + 1
    return found


def structs() -> dict[str, list[Member]]:
    """Every struct with its members in a row: the header has explicit padding only."""
    return {
        name: list(members(body))
        for name, body in re.findall(r"struct (mt_\w+) \{(.*?)\};", code(), flags=re.DOTALL)
    }


def members(body: str) -> Iterator[Member]:
    """The members of one struct body."""
    at = 0
    for kind, name, count in re.findall(r"(\w+) (\w+)(?:\[(\w+)\])?;", body):
        size = SIZES[kind] * (numbers().get(count) or int(count or 1))
        assert at % SIZES[kind] == 0, f"{name} would be padded by the compiler"
        yield Member(name, at, size)
        at += size


@pytest.mark.parametrize("name", sorted(MIRRORS))
def test_each_struct_lies_in_python_as_in_c(name: str) -> None:
    """Offsets and the size of every piece, and no member left out."""
    found = structs()[name]
    assert_mirrored(name, found[-1].offset + found[-1].size, found)


def test_every_struct_of_the_header_has_a_mirror() -> None:
    """A new record is a new line in the mirror's table."""
    assert set(structs()) == set(MIRRORS)


def test_every_number_of_the_header_has_its_value() -> None:
    """Enumerators and defines: each one known, each one equal."""
    assert numbers() == NUMBERS


def test_sizes_are_what_the_records_are() -> None:
    """Counted by hand: what crosses the border is this long."""
    assert wire.LEDGER_KEY.size == 40
    assert wire.LEDGER_VALUE.size == 16
    assert wire.FILE.size == 16
    assert wire.PROCESS.size == 8
    assert wire.TOTAL.size == 16 * 8 + 8 * 8 + 2 * 8
    assert wire.CONTROL.size == 8
    assert wire.BASELINE_KEY.size == 24
    assert wire.BASELINE_VALUE.size == 16
    assert wire.PATH_EVENT.size == 48
    assert wire.TASK_EVENT.size == 32
    assert wire.EXIT_EVENT.size == 40
    assert wire.CGROUP_EVENT.size == 24
    assert wire.WALK.size == 64
    assert wire.SLAB_KEY.size == 32
    assert wire.SLAB_CACHE.size == 64
    assert wire.OOM_KILL.size == 32
    assert wire.OOM_TASK.size == 128
    assert wire.OOM_CAUSE.size == 416
    assert wire.OOM_LEVEL.size == 48


def test_nobody_is_all_zero() -> None:
    """A process that is not told has tgid and start 0."""
    assert wire.NO_PROCESS == b"\0" * 8


def test_magic_numbers_are_the_kernels() -> None:
    """linux/magic.h: TMPFS_MAGIC and BDEVFS_MAGIC."""
    assert (wire.TMPFS_MAGIC, wire.BDEVFS_MAGIC) == (0x01021994, 0x62646576)
