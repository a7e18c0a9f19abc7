"""What a terminal can show: colours or none, and the glyphs of charts and marks."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class Ink(Enum):
    """What a piece of text is; the only colours are those of severities, and words say it, too."""

    PLAIN = auto()
    BOLD = auto()
    FAINT = auto()
    TITLE = auto()
    WARNING = auto()
    CRITICAL = auto()
    UNKNOWN = auto()


SEVERITY = {"warning": Ink.WARNING, "critical": Ink.CRITICAL, "unknown": Ink.UNKNOWN}


class Span(NamedTuple):
    """A piece of a line."""

    text: str
    ink: Ink = Ink.PLAIN


class Line(NamedTuple):
    """One line of the screen, exactly as wide as it; `selected`: the cursor is on it."""

    spans: tuple[Span, ...]
    selected: bool = False

    @property
    def text(self) -> str:
        """The line without inks."""
        return "".join(span.text for span in self.spans)


class Look(NamedTuple):
    """The terminal's abilities and, after them, its glyphs. `spark`: lowest first."""

    colour: bool = True
    spark: str = "▁▂▃▄▅▆▇█"
    full: str = "█"
    empty: str = "░"
    rule: str = "─"
    ellipsis: str = "…"
    down: str = "▼"
    up: str = "▲"
    folded: str = "▸"
    unfolded: str = "▾"


ASCII = Look(True, "_.:-=+*#", "#", ".", "-", "~", "v", "^", "+", "-")


def look(colour: bool, unicode: bool) -> Look:
    """Return what fits a terminal."""
    return (Look() if unicode else ASCII)._replace(colour=colour)


def line(text: str, ink: Ink = Ink.PLAIN) -> Line:
    """Return a line of one ink; the text has the right width already."""
    return Line((Span(text, ink),))
