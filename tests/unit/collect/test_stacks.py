"""Sampled stacks: rows decoded, added up, and bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.collect.watches import stacks
from memtrace.collect.watches.stacks import Place, StackTable, decode
from memtrace.kernel import wire
from tests.unit.collect import records

FILE, PROCESS = records.file(1), wire.PROCESS.pack(7, 9)


def chunk(*rows: tuple[list[int], int, int]) -> tuple[memoryview, memoryview, int]:
    """A part of the kernel's table: program counters, pages and samples of each row."""
    keys, values = bytearray(), bytearray()
    for pcs, pages, samples in rows:
        packed = b"".join(pc.to_bytes(8, "little") for pc in pcs)
        keys += wire.STACK_KEY.pack(3, FILE, PROCESS, 1, packed)
        values += wire.STACK_VALUE.pack(pages, samples, 0x401000)
    return memoryview(keys), memoryview(values), len(rows)


def table(*chunks: tuple[memoryview, memoryview, int]) -> StackTable:
    """What these add up to."""
    made = StackTable()
    for row in decode(chunks):
        made.add(*row)
    return made


def test_rows_are_added_up_by_stack() -> None:
    """The same stack of two intervals is one row; another stack is another."""
    made = table(
        chunk(([0x401010, 0x402000], 64, 1), ([0x401010], 64, 1)), chunk(([0x401010], 128, 2))
    )
    first, second = made.rows(4096)
    assert (first.pcs, first.bytes, first.samples) == ((0x401010, 0x402000), 64 * 4096, 1)
    assert (second.pcs, second.bytes, second.samples) == ((0x401010,), 192 * 4096, 3)
    assert (first.cgroup_id, first.file, first.tgid, first.start) == (3, FILE, 7, 9)
    assert (first.kind, first.text) == (1, 0x401000)


@given(st.lists(st.integers(1, (1 << 64) - 1), max_size=wire.STACK_DEPTH))
def test_every_address_survives(pcs: list[int]) -> None:
    """Those that end in zeros, too; a thread of the kernel has none."""
    (row,) = table(chunk((pcs, 1, 1))).rows(4096)
    assert row.pcs == tuple(pcs)


def test_an_unknown_program_has_no_beginning() -> None:
    """0 is no address."""
    made = StackTable()
    made.add(Place(3, FILE, PROCESS, 1, b""), 64, 1, 0)
    assert made.rows(4096)[0].text is None


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest half stays, and what goes is counted."""
    monkeypatch.setattr(stacks, "MAX_ROWS", 8)
    made = table(chunk(*(([0x400000 + number], number, 1) for number in range(1, 10))))
    assert sorted(row.bytes for row in made.rows(1)) == [6, 7, 8, 9]
    assert made.given_up == sum(range(1, 6))
