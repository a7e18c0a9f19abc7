"""Any list with titles, sorted by a column, one row under the cursor. Knows no container.

The columns that fit are chosen by importance; numbers are never cut.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from memtrace.model.fields import Field
from memtrace.views.screen import cells
from memtrace.views.screen.look import Ink, Line, Look, Span

Row = TypeVar("Row")
Value = int | float | str | None
FILL = ((99, 999),)  # for a column that takes all room that is left


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column. `draw` fills exactly the room it is given.

    `rank`: the higher, the sooner it goes when the screen is narrow. `wider`: ranks at which
    it gets so wide, if there is room. `value`: what it is sorted by; without it, it cannot be.
    """

    field: Field
    draw: Callable[[Row, int], str]
    rank: float
    value: Callable[[Row], Value] | None = None
    right: bool = True
    wider: tuple[tuple[float, int], ...] = ()
    ink: Callable[[Row], Ink] | None = None

    @property
    def elastic(self) -> bool:
        """Whether any width will do: words can be cut, numbers cannot."""
        return not self.right

    def least(self, sort: str) -> int:
        """Return the room it needs; that of the sorted one has a mark behind its title."""
        title = len(self.field.title) + (self.field.name == sort)
        return max(self.field.width, title)


@dataclass(slots=True)
class Cursor:
    """Where the user is in a list: on the row with this key, wherever it moves.

    `keys` and `height` are those of the list as it was drawn last.
    """

    sort: str = ""
    reverse: bool = False
    key: Hashable = None
    index: int = 0
    top: int = 0
    keys: Sequence[Hashable] = ()
    height: int = 1

    def settle(self, keys: Sequence[Hashable], height: int) -> None:
        """Follow the row; when it is gone, stay at its place. Scroll no more than needed."""
        self.keys, self.height = keys, height
        if self.key in keys:
            self.index = keys.index(self.key)
        self.index = max(0, min(self.index, len(keys) - 1))
        self.key = keys[self.index] if keys else None
        lowest = max(0, min(self.index, len(keys) - height))
        self.top = max(self.index - height + 1, min(self.top, lowest))

    def move(self, to: int) -> None:
        """Go to the row with this number, or to the nearest one."""
        if self.keys:
            self.index = max(0, min(to, len(self.keys) - 1))
            self.key = self.keys[self.index]


@dataclass(frozen=True, slots=True)
class Layout(Generic[Row]):
    """Which columns are there and how wide; the widths and the gaps fill the screen."""

    columns: tuple[Column[Row], ...]
    widths: tuple[int, ...] = field(default=())


def arranged(rows: Sequence[Row], columns: Sequence[Column[Row]], cursor: Cursor) -> list[Row]:
    """Return the rows in order: amounts largest first, words from a to z, unknown last."""
    value = next((c.value for c in columns if c.field.name == cursor.sort), None)
    if value is None:
        return list(rows)
    known = [(found, row) for row in rows if (found := value(row)) is not None]
    words = any(isinstance(found, str) for found, _ in known)
    known.sort(key=lambda pair: pair[0], reverse=words == cursor.reverse)
    return [row for _, row in known] + [row for row in rows if value(row) is None]


def layout(columns: Sequence[Column[Row]], width: int, sort: str) -> Layout[Row]:
    """Choose what fits into `width`, and how wide it is, the most important first."""
    widths: dict[str, int] = {}
    spare = width + 1
    steps = [step for column in columns for step in _steps(column, sort)]
    for _rank, column, wanted, is_first in sorted(steps, key=lambda step: step[0]):
        name = column.field.name
        more = min(wanted, width) - widths.get(name, -1)  # a new column needs a gap, too
        if not is_first and column.elastic:
            more = min(more, spare)
        if (is_first or name in widths) and 0 < more <= spare:
            widths[name] = widths.get(name, -1) + more
            spare -= more
    kept = tuple(column for column in columns if column.field.name in widths)
    return Layout(kept, tuple(widths[column.field.name] for column in kept))


def _steps(column: Column[Row], sort: str) -> Iterator[tuple[float, Column[Row], int, bool]]:
    """Yield at which rank the column may be how wide, and whether it is its first; no rank twice.

    The column by which the list is sorted comes right after the first of all.
    """
    rank = min(column.rank, 0.5) if column.field.name == sort else column.rank
    yield rank, column, column.least(sort), True
    for later, wanted in column.wider:
        yield later, column, wanted, False


def titles(plan: Layout[Row], cursor: Cursor, width: int, look: Look) -> Line:
    """Return the line of titles; that of the sorted column says which way."""
    drawn = []
    for column, room in zip(plan.columns, plan.widths, strict=True):
        title = column.field.title
        if column.field.name == cursor.sort:
            title += look.up if cursor.reverse else look.down
        drawn.append(title.rjust(room) if column.right else title.ljust(room))
    return Line((Span(" ".join(drawn).ljust(width)[:width], Ink.TITLE),))


def row(plan: Layout[Row], item: Row, selected: bool, width: int) -> Line:
    """Return one row, exactly `width` columns."""
    spans: list[Span] = []
    used = 0
    for column, room in zip(plan.columns, plan.widths, strict=True):
        gap = " " if spans else ""
        ink = column.ink(item) if column.ink else Ink.PLAIN
        spans.append(Span(gap + column.draw(item, room), ink))
        used += len(gap) + room
    return Line((*spans, Span(" " * (width - used))), selected)


def listing(
    columns: Sequence[Column[Row]],
    rows: Sequence[Row],
    key: Callable[[Row], Hashable],
    cursor: Cursor,
    size: tuple[int, int],
    look: Look,
) -> list[Line]:
    """Return titles and the rows around the cursor: exactly `size` (width, height)."""
    width, height = size
    cursor.settle([key(item) for item in rows], height - 1)
    plan = layout(columns, width, cursor.sort)
    shown = rows[cursor.top : cursor.top + height - 1]
    lines = [titles(plan, cursor, width, look)]
    lines += [row(plan, item, key(item) == cursor.key, width) for item in shown]
    return padded(lines, size)


def padded(lines: list[Line], size: tuple[int, int]) -> list[Line]:
    """Return exactly as many lines as there is room for."""
    width, height = size
    blank = Line((Span(cells.left("", width)),))
    return (lines + [blank] * (height - len(lines)))[:height]


def sortable(columns: Sequence[Column[Row]], width: int, sort: str) -> list[str]:
    """Return the names of the columns on screen that a list can be sorted by."""
    return [c.field.name for c in layout(columns, width, sort).columns if c.value is not None]
