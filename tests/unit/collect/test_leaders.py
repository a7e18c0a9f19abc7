"""The largest of a table: those of a look at all of it, found among few."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memtrace.collect.leaders import MANY_TOUCHED, Leaders

SHOWN, KEPT = 3, 5
CHANGES = st.lists(
    st.tuples(st.integers(0, 30), st.none() | st.integers(-3, 9), st.booleans()), max_size=80
)
"""A key, its new amount (None: removed), and whether somebody looks then."""


def leaders() -> Leaders[int, int]:
    """Of a table of amounts."""
    return Leaders(SHOWN, KEPT, lambda amount: amount)


@given(CHANGES)
def test_they_are_those_of_a_look_at_all(changes: list[tuple[int, int | None, bool]]) -> None:
    """By their amounts: which of equal ones is shown is free."""
    table: dict[int, int] = {}
    largest = leaders()
    for key, amount, look in changes:
        if amount is None:
            table.pop(key, None)
        else:
            table[key] = amount
            largest.touch(key)
        if look:
            found = largest.of(table)
            assert [table[key] for key in found] == sorted(table.values(), reverse=True)[:SHOWN]


def test_few_are_looked_at_while_few_change() -> None:
    """Of ten thousand, the kept and the changed ones."""
    looked_at: list[int] = []

    def amount(value: int) -> int:
        looked_at.append(value)
        return value

    largest: Leaders[int, int] = Leaders(SHOWN, KEPT, amount)
    table = {key: key for key in range(10_000)}
    assert largest.of(table) == [9999, 9998, 9997]
    looked_at.clear()
    table[7] = 20_000
    largest.touch(7)
    assert largest.of(table) == [7, 9999, 9998]
    assert len(looked_at) <= 2 * (KEPT + 1)


def test_those_shown_stay_among_equal_ones() -> None:
    """Rows do not change places for nothing."""
    table = dict.fromkeys(range(10), 1)
    largest = leaders()
    assert largest.of(table) == [0, 1, 2]
    table |= {11: 1}
    largest.touch(11)
    assert largest.of(table) == [0, 1, 2]


def test_all_are_looked_at_after_a_change_of_many() -> None:
    """Told so, or because too many were touched to note them."""
    table = dict.fromkeys(range(3 * MANY_TOUCHED), 1)
    largest = leaders()
    largest.of(table)
    table[5] = 9
    largest.forget()
    assert largest.of(table)[0] == 5
    for key in range(MANY_TOUCHED + 1):
        largest.touch(key)
    table[2 * MANY_TOUCHED] = 10  # untold: seen all the same
    assert largest.of(table)[:2] == [2 * MANY_TOUCHED, 5]
