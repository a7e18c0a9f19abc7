"""Bars and sparklines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memtrace.model.history import LENGTH, Trend
from memtrace.views.screen.charts import bar, sparkline
from memtrace.views.screen.look import ASCII, Look

LOOK = Look()
values = st.lists(st.none() | st.integers(0, 1 << 50), max_size=LENGTH).map(tuple)


@given(values, st.integers(0, 500), st.integers(0, 40), st.booleans())
def test_a_sparkline_fills_its_room(
    usage: tuple[int | None, ...], more: int, room: int, ascii_only: bool
) -> None:
    """Whatever there is to show."""
    look = ASCII if ascii_only else LOOK
    drawn = sparkline(Trend(usage, len(usage) + more, None), room, look)
    assert len(drawn) == room
    assert set(drawn) <= {" ", *look.spark}


def test_a_sparkline_rises_to_the_right() -> None:
    """Newest last, unknown blank, a flat line at the bottom."""
    assert sparkline(Trend((0, 50, 100), 3), 5, LOOK) == "  ▁▅█"
    assert sparkline(Trend((None, 100, 0), 3), 3, LOOK) == " █▁"
    assert sparkline(Trend((10**9, 10**9 + 10**6), 2), 2, LOOK) == "▁▁"


def test_columns_of_a_full_chart_stand_for_the_same_samples() -> None:
    """The next sample moves no column but the last, until a column is complete."""
    usage = tuple((5, 0, 9, 3, 7, 1, 8, 2, 6, 4)[sample * 10 // LENGTH] for sample in range(LENGTH))
    first = sparkline(Trend(usage, LENGTH), 10, LOOK)
    assert len(set(first)) == len(LOOK.spark)
    later = sparkline(Trend((*usage[1:], 4), LENGTH + 1), 10, LOOK)
    assert later[:-1] == first[1:]


def test_a_bar_is_full_at_the_limit() -> None:
    """And never longer than its room."""
    assert bar(50, 100, 4, LOOK) == "██░░"
    assert bar(500, 100, 4, LOOK) == "████"
    assert bar(None, 100, 4, LOOK) == bar(1, None, 4, LOOK) == "    "
