"""Hostile names on a terminal."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from memtrace.views.text import (
    columns,
    cut,
    cut_front,
    cut_middle,
    pad,
    printable,
    without_surrogates,
)

anything = st.text(st.characters(codec=None))


@given(anything)
def test_printable_moves_no_cursor_and_can_be_encoded(text: str) -> None:
    """No control, format or line-separating character survives, no surrogate either."""
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()
    assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & {unicodedata.category(char) for char in shown}


@given(st.binary())
def test_every_byte_sequence_can_be_shown(name: bytes) -> None:
    """A file name is bytes."""
    text = name.decode("utf-8", "surrogateescape")
    printable(text).encode()
    without_surrogates(text).encode()


def test_undecodable_bytes_and_controls_are_spelled_out() -> None:
    """As \\xNN and \\uNNNN."""
    assert printable("a\udcff\x1b[2J\u202eb\n") == "a\\xff\\x1b[2J\\u202eb\\x0a"
    assert without_surrogates("a\udcff\n") == "a\\xff\n"


def test_width_counts_columns() -> None:
    """Wide characters take two, combining marks none."""
    assert (columns("abc"), columns("日本"), columns("e\u0301")) == (3, 4, 1)
    assert pad("日", 4) == "日  "


@given(anything.map(printable), st.integers(0, 40))
def test_cutting_never_exceeds_the_room(text: str, width: int) -> None:
    """Whatever is kept, it fits."""
    for shorten in (cut, cut_front, cut_middle):
        assert columns(shorten(text, width)) <= width


def test_cutting_keeps_what_says_most() -> None:
    """The start, the end, or both."""
    assert cut("postgres", 5) == "post…"
    assert cut_front("/data/base/16384", 7) == "…/16384"
    assert cut_middle("systemd-journald.service", 11) == "syste…rvice"
    assert cut("short", 5) == cut_front("short", 5) == cut_middle("short", 5) == "short"
