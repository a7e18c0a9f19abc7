"""Cells of a table: exactly as wide as they have to be, whatever is in them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from memtrace.views.screen import cells
from tests.unit.views.screen.scenes import HOSTILE

anything = st.text(st.characters(codec=None)) | st.sampled_from(HOSTILE)
FITS = (cells.left, cells.path, cells.name, cells.cause)


@given(anything, st.integers(0, 60), st.sampled_from(FITS))
def test_every_cell_is_exactly_as_wide_as_its_room(text: str, room: int, fit: object) -> None:
    """By the measure of the library that draws, and by the one that cuts."""
    drawn = fit(text, room)  # type: ignore[operator]
    assert cell_len(drawn) == room
    assert drawn.isprintable()
    drawn.encode()


@given(anything)
def test_nothing_shown_changes_direction_joins_or_piles_up(text: str) -> None:
    """No right-to-left letter, joiner or third mark on one letter is left."""
    shown = cells.shown(text)
    assert not {"R", "AL", "AN"} & {unicodedata.bidirectional(char) for char in shown}
    assert not set("\u200d\ufe0f\u202e") & set(shown)
    marks = "".join("m" if unicodedata.category(c) in ("Mn", "Me") else " " for c in shown)
    assert "mmm" not in marks
    assert not marks.startswith("m")


@given(anything, st.integers(2, 40), st.integers(0, 4))
def test_folded_text_fills_its_lines_exactly(text: str, room: int, lines: int) -> None:
    """And of what is too long the end is kept."""
    drawn = cells.folded(text, room, lines)
    assert len(drawn) == lines
    assert {cell_len(line) for line in drawn} <= {room}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("日本.txt", "日本.txt"),
        ("cafe\u0301", "cafe\u0301"),
        ("[bold]x[/]", "[bold]x[/]"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("\u05d0\u202e", "\\u05d0\\u202e"),
        ("👍🏽", "👍\\U0001f3fd"),
    ],
)
def test_what_is_shown_of_a_name(text: str, shown: str) -> None:
    """Letters stay letters; what could move others is spelled out."""
    assert cells.shown(text) == shown


def test_a_number_is_whole_or_absent() -> None:
    """Never its first digits."""
    assert cells.number("1.2G", 6) == "  1.2G"
    assert cells.number("-1000M", 4) == "   ~"


def test_a_cause_loses_its_path_first() -> None:
    """Who did it is worth more than the directory."""
    assert cells.cause("write by pg -> /data/base/16384", 24) == "write by pg -> …se/16384"
    assert cells.cause("write by pg -> /data/base/16384", 13) == "write by pg  "


@given(st.lists(anything.filter(bool), max_size=5), st.integers(0, 60))
def test_parts_are_whole_or_missing(parts: list[str], room: int) -> None:
    """As many as fit, in their order."""
    joined = cells.whole(parts, room)
    assert cell_len(joined) <= room
    assert any(joined == ", ".join(map(cells.shown, parts[:end])) for end in range(len(parts) + 1))
