"""Text made to fill exactly its cell of a table, whatever strangers put into it.

Widths are those of the library that draws (rich.cells). A character on whose width
terminals disagree, that is drawn from right to left, or that piles up on others would
move what stands beside it, numbers included: it is shown as \\uNNNN.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from rich.cells import cell_len, chop_cells

from memtrace.views.text import columns, cut, cut_front, cut_middle, printable

_JOINING = (range(0xFE00, 0xFE10), range(0x1F1E6, 0x1F200), range(0x1F3FB, 0x1F400))
"""Variation selectors, letters of flags, skin tones: the width of what they join is contested."""
_RIGHT_TO_LEFT = ("R", "AL", "AN")
_MARKS = ("Mn", "Me")
_MARKS_IN_A_ROW = 2


def shown(text: str) -> str:
    """Return the text with everything escaped that could disturb its line."""
    text = printable(text)
    if text.isascii():
        return text
    marks = _MARKS_IN_A_ROW  # none may stand first
    safe: list[str] = []
    for char in text:
        is_mark = unicodedata.category(char) in _MARKS
        marks = marks + 1 if is_mark else 0
        harmless = marks <= _MARKS_IN_A_ROW and _is_harmless(char)
        safe.append(char if harmless else escaped(char))
        if not harmless or char == " ":
            marks = _MARKS_IN_A_ROW
    return "".join(safe)


def escaped(char: str) -> str:
    """Return the number of a character, as in Python."""
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width(text: str) -> int:
    """Return how many terminal columns the text takes."""
    return len(text) if text.isascii() else cell_len(text)


def left(text: str, room: int) -> str:
    """Fill exactly `room` columns, text first; of a long one the beginning."""
    return _filled(cut(shown(text), room), room)


def path(text: str, room: int) -> str:
    """Fill exactly `room` columns; of a long path the end, which says most."""
    return _filled(cut_front(shown(text), room), room)


def name(text: str, room: int) -> str:
    """Fill exactly `room` columns; of a long name both ends: generated names differ in either."""
    return _filled(cut_middle(shown(text), room), room)


def number(text: str, room: int) -> str:
    """Fill exactly `room` columns, text last. A number without room is left out, never cut."""
    return text.rjust(room) if width(text) <= room else "~".rjust(room)[:room]


def cause(text: str, room: int) -> str:
    """Fill exactly `room` columns; of "done by whom -> file" the path gives way first."""
    done, arrow, target = shown(text).partition(" -> ")
    rest = room - width(done) - len(arrow)
    if not arrow or rest < room // 4:
        return left(done, room)
    return _filled(f"{done}{arrow}{cut_front(target, rest)}", room)


def whole(parts: Iterable[str], room: int, between: str = ", ") -> str:
    """Join parts as long as each fits whole: what is left out is missing, not cut."""
    text = ""
    for part in map(shown, parts):
        joined = f"{text}{between}{part}" if text else part
        if width(joined) > room:
            break
        text = joined
    return text


def folded(text: str, room: int, lines: int) -> list[str]:
    """Fill exactly `lines` lines of `room` columns; of what is too long the end."""
    pieces = chop_cells(shown(text), room) if room > 1 else []
    if len(pieces) > lines:
        pieces = chop_cells(cut_front(shown(text), lines * room - lines), room)
    return [_filled(piece, room) for piece in (pieces + [""] * lines)[:lines]]


def _is_harmless(char: str) -> bool:
    if unicodedata.bidirectional(char) in _RIGHT_TO_LEFT:
        return False
    if any(ord(char) in contested for contested in _JOINING):
        return False
    return cell_len(char) == columns(char)


def _filled(text: str, room: int) -> str:
    return text + " " * (room - width(text))
