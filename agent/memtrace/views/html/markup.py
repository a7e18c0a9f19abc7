"""Elements of HTML and SVG: everything that is no element already is escaped. Lays out nothing.

Names come from strangers. What is not printable is spelled out as on a terminal, what has a
meaning in HTML becomes a character reference, in text and in attributes alike.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from memtrace.views.text import cut_middle, printable

LONGEST = 2000
"""Columns of one text: nothing of ours is longer."""

_VOID = frozenset({"meta", "br", "rect", "line", "circle", "path", "polyline"})


class Html(str):
    """Text that is HTML; only this file makes it."""

    __slots__ = ()


Content = str | Html | None | Iterable["Content"]

NOTHING = Html("")


def text(content: Content) -> Html:
    """Return content as HTML: elements as they are, anything else escaped, None as nothing."""
    if isinstance(content, Html):
        return content
    if isinstance(content, str):
        return Html(html.escape(cut_middle(printable(content), LONGEST)))
    return NOTHING if content is None else Html("".join(map(text, content)))


def element(name: str, /, *content: Content, **attributes: str | float | None) -> Html:
    """Return an element. A final _ of an attribute's name is dropped, other ones become -.

    Attributes that are None are left out. `name` and the attributes' names are our own.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{given}>" if name in ("meta", "br") else f"<{name}{given}/>")
    return Html(f"<{name}{given}>{text(content)}</{name}>")


def raw(content: str) -> Html:
    """Take a text of our own, such as the style sheet or a path, for HTML as it is."""
    return Html(content)


def _value(value: str | float) -> str:
    if isinstance(value, Html):
        return value
    if isinstance(value, str):
        return html.escape(cut_middle(printable(value), LONGEST))
    return f"{value:.5g}"
