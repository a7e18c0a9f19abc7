"""Joining ordered tables: what is shown is what a join of everything would show."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memtrace.model.rank import KEPT, join, ordered, top

amounts = st.integers(0, 30)
tables = st.lists(st.dictionaries(st.integers(0, 400), amounts, max_size=60), max_size=12)


def amount(row: int) -> int:
    """The rows of these tests are their amounts."""
    return row


def plus(left: int, right: int) -> int:
    """Combine two rows of one key."""
    return left + right


def all_joined(parts: list[dict[int, int]]) -> dict[int, int]:
    """The definition."""
    found: dict[int, int] = {}
    for part in parts:
        for key, row in part.items():
            found[key] = found.get(key, 0) + row
    return found


@given(tables)
def test_the_largest_of_all_tables_are_kept(parts: list[dict[int, int]]) -> None:
    """As many, and as large, as if everything had been added up and sorted."""
    joined = join([ordered(part, amount) for part in parts], plus, amount)
    whole = all_joined(parts)
    assert list(joined.values()) == sorted(whole.values(), reverse=True)[:KEPT]
    assert all(whole[key] == row for key, row in joined.items())


def test_a_row_that_is_small_everywhere_is_large_together() -> None:
    """A file in forty containers, the last of each, is the first of the node."""
    parts = [
        ordered({0: 3, **{100 * n + i: 5 for i in range(1, 50)}}, amount) for n in range(1, 41)
    ]
    assert next(iter(join(parts, plus, amount).items())) == (0, 120)


def test_equal_rows_keep_their_order() -> None:
    """Lists do not jump while nothing changes."""
    table = ordered({"b": 1, "a": 1, "c": 2}, amount)
    assert list(table) == ["c", "b", "a"]
    assert top(table) == [2, 1, 1]
