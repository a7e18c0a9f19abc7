"""What is sent to the terminal: what changed, once."""

from __future__ import annotations

import pytest

from memtrace.views.screen.canvas import _change
from memtrace.views.screen.look import Ink, Line, Span

ROW = Line((Span("name  "), Span(" 12M"), Span(" ok", Ink.BOLD)))


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        (ROW, []),
        (Line((Span("name  "), Span(" 13M"), Span(" ok", Ink.BOLD))), [(6, 10)]),
        (Line((Span("other "), Span(" 12M"), Span(" ok"))), [(0, 13)]),
        (Line((Span("日本  "), Span(" 12M"), Span(" ok", Ink.BOLD))), [(0, 6)]),
        (ROW._replace(selected=True), [(0, 13)]),
    ],
)
def test_only_what_differs_is_drawn_again(now: Line, changed: list[tuple[int, int]]) -> None:
    """From the first to the last column that differs; all of a line that is selected anew."""
    assert _change(ROW, now) == changed


def test_a_new_line_is_drawn_whole() -> None:
    """There was none before."""
    assert _change(None, ROW) == [(0, 13)]
