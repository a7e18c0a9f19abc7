"""Names from strangers made fit for a terminal: escaped, measured, cut and padded.

File names and process names are arbitrary bytes that anyone on the node can choose. What
is not printable (control characters, line and text-direction marks, bytes that are no
UTF-8) is shown as \\xNN, \\uNNNN or \\UNNNNNNNN. A backslash of the name itself stays one
backslash: names are for reading, the file's number is what identifies it.
"""

from __future__ import annotations

import re
import unicodedata

ELLIPSIS = "…"
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_BYTE = range(0xDC80, 0xDD00)  # what PEP 383 makes of the bytes 0x80 to 0xff
_MARKS_PER_COLUMN = 4  # more combining marks than any script stacks


def printable(text: str) -> str:
    """Return the text with everything that could move a cursor escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def without_surrogates(text: str) -> str:
    """Return the text as valid Unicode: undecodable bytes become \\xNN, nothing else changes."""
    return _SURROGATE.sub(lambda match: _escape(match.group()), text)


def columns(text: str) -> int:
    """Return how many terminal columns printable text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_char_columns, text))


def pad(text: str, width: int) -> str:
    """Fill up with spaces on the right."""
    return text + " " * (width - columns(text))


def cut(text: str, width: int) -> str:
    """Keep the beginning."""
    if columns(text) <= width:
        return _few_marks(text, width)
    return _few_marks(_head(text, width - 1) + ELLIPSIS, width) if width > 0 else ""


def cut_front(text: str, width: int) -> str:
    """Keep the end: of a path it says most."""
    if columns(text) <= width:
        return _few_marks(text, width)
    return ELLIPSIS + _few_marks(_tail(text, width - 1), width) if width > 0 else ""


def cut_middle(text: str, width: int) -> str:
    """Keep both ends: generated names differ in either."""
    if columns(text) <= width or width < 3:
        return cut(text, width)
    end = _tail(text, (width - 1) // 2)
    return cut(text, width - columns(end)) + _few_marks(end, width)


def _escape(char: str) -> str:
    code = ord(char)
    if code in _ESCAPED_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _char_columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _head(text: str, width: int) -> str:
    used = 0
    for index, char in enumerate(text):
        used += _char_columns(char)
        if used > width:
            return text[:index]
    return text


def _tail(text: str, width: int) -> str:
    used = 0
    for index in range(len(text) - 1, -1, -1):
        used += _char_columns(text[index])
        if used > width:
            return text[index + 1 :]
    return text


def _few_marks(text: str, width: int) -> str:
    """Drop combining marks that would pile up over other lines."""
    return text[: _MARKS_PER_COLUMN * width]
