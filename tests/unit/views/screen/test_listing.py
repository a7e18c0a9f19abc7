"""Lists: which columns fit, in which order rows stand, and where the cursor is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.views.screen.listing import Cursor, arranged, layout
from memtrace.views.screen.panes import PANES
from memtrace.views.screen.table import COLUMNS

TABLES = (COLUMNS, *(pane.columns for pane in PANES))


@given(st.integers(1, 400), st.sampled_from(TABLES), st.data())
def test_columns_and_gaps_fit_the_screen(width: int, columns: tuple, data: st.DataObject) -> None:
    """At any width, sorted by any column; numbers have the room their field asks for."""
    sort = data.draw(st.sampled_from([column.field.name for column in columns]))
    plan = layout(columns, width, sort)
    assert sum(plan.widths) + max(0, len(plan.widths) - 1) <= width
    for column, room in zip(plan.columns, plan.widths, strict=True):
        assert room >= min(width, column.least(sort))


@pytest.mark.parametrize(
    ("width", "first", "gone"),
    [(40, "usage_bytes", "cause"), (80, "cause", "trend"), (120, "trend", "dirty_bytes")],
)
def test_what_matters_most_stays_longest(width: int, first: str, gone: str) -> None:
    """Usage before growth before the limit, the verdict and the cause; then the parts."""
    names = [column.field.name for column in layout(COLUMNS, width, "usage_bytes").columns]
    assert first in names
    assert gone not in names


def test_the_sorted_column_is_always_on_screen() -> None:
    """Else nobody could see the order."""
    names = [c.field.name for c in layout(COLUMNS, 80, "clean_bytes").columns]
    assert "clean_bytes" in names


def test_unknown_is_last_in_either_direction() -> None:
    """Unknown is neither large nor small."""
    columns = PANES[3].columns
    rows = [type("Row", (), {"bytes": b, "what": str(b)})() for b in (5, None, 9)]
    for reverse, expected in ((False, [9, 5, None]), (True, [5, 9, None])):
        cursor = Cursor(sort="bytes", reverse=reverse)
        assert [row.bytes for row in arranged(rows, columns, cursor)] == expected


def test_the_cursor_follows_its_row() -> None:
    """And when the row is gone, it stays at its place."""
    cursor = Cursor()
    cursor.settle([*"abcdef"], 3)
    assert (cursor.key, cursor.top) == ("a", 0)
    cursor.move(1)
    cursor.settle([*"fedcba"], 3)
    assert (cursor.key, cursor.index, cursor.top) == ("b", 4, 2)
    cursor.settle([*"fedca"], 3)
    assert (cursor.key, cursor.index, cursor.top) == ("a", 4, 2)
    cursor.settle([*""], 3)
    assert cursor.key is None
    cursor.move(5)
    cursor.settle([*"xy"], 3)
    assert (cursor.key, cursor.top) == ("x", 0)


@given(st.lists(st.integers(), unique=True), st.integers(1, 9), st.integers(-3, 99), st.data())
def test_the_cursor_is_always_on_screen(
    keys: list[int], height: int, to: int, data: st.DataObject
) -> None:
    """Whatever happens to the list; the screen is full as long as there are rows."""
    cursor = Cursor()
    cursor.settle(keys, height)
    cursor.move(to)
    later = data.draw(st.permutations(keys)) if keys else []
    cursor.settle(later, height)
    assert 0 <= cursor.top <= max(0, len(later) - height)
    assert not later or cursor.top <= cursor.index < cursor.top + height
