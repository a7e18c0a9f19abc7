"""The one widget: shows lines and redraws only the pieces of them that changed."""

from __future__ import annotations

from collections.abc import Callable

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from memtrace.views.screen.cells import width
from memtrace.views.screen.look import Ink, Line, Look, Span

_STYLES = {
    Ink.PLAIN: Style(),
    Ink.BOLD: Style(bold=True),
    Ink.FAINT: Style(dim=True),
    Ink.TITLE: Style(bold=True, underline=True),
    Ink.WARNING: Style(color="yellow", bold=True),
    Ink.CRITICAL: Style(color="red", bold=True),
    Ink.UNKNOWN: Style(dim=True),
}
_NO_COLOUR = {
    **_STYLES,
    Ink.FAINT: Style(),
    Ink.UNKNOWN: Style(),
    Ink.WARNING: Style(bold=True),
    Ink.CRITICAL: Style(bold=True),
}
_SELECTED = Style(reverse=True)


class Canvas(Widget):
    """Draws what `draw(width, height)` returns, which is as many lines as it is high."""

    DEFAULT_CSS = "Canvas { width: 1fr; height: 1fr; }"

    def __init__(self, draw: Callable[[int, int], list[Line]], look: Look) -> None:
        super().__init__()
        self._draw = draw
        self._styles = _STYLES if look.colour else _NO_COLOUR
        self._unicode = look.ellipsis == "…"
        self._lines: list[Line] = []

    def redraw(self) -> None:
        """Draw anew; what is as before is not sent to the terminal again."""
        before, self._lines = self._lines, self._draw(*self.size)
        regions = [
            Region(start, number, end - start, 1)
            for number, now in enumerate(self._lines)
            for start, end in _change(before[number] if number < len(before) else None, now)
        ]
        if regions:
            self.refresh(*regions)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._lines = self._draw(*self.size)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line; Textual asks for those that it was told have changed."""
        if y >= len(self._lines):
            return Strip.blank(self.size.width)
        line = self._lines[y]
        drawn = [self._segment(text, ink, line.selected) for text, ink in line.spans]
        return Strip(drawn).simplify()

    def _segment(self, text: str, ink: Ink, selected: bool) -> Segment:
        style = self._styles[ink]
        if not self._unicode:
            text = "".join(char if char.isascii() else _instead(char) for char in text)
        return Segment(text, style + _SELECTED if selected else style)


def _instead(char: str) -> str:
    return "~" if char == "…" else "?" * width(char)


def _change(before: Line | None, now: Line) -> list[tuple[int, int]]:
    """Return from where to where a line differs; nothing if it does not.

    One piece for a line: Textual sends each piece from the line's beginning on.
    """
    total = sum(width(span.text) for span in now.spans)
    if before is None or before.selected != now.selected:
        return [(0, total)]
    old = _placed(before)
    changed = [(at, end) for at, (end, span) in _placed(now).items() if old.get(at) != (end, span)]
    return [(changed[0][0], changed[-1][1])] if changed else []


def _placed(line: Line) -> dict[int, tuple[int, Span]]:
    """Return where each span begins and ends."""
    placed: dict[int, tuple[int, Span]] = {}
    at = 0
    for span in line.spans:
        end = at + width(span.text)
        placed[at] = (end, span)
        at = end
    return placed
