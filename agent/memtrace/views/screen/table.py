"""The list of containers: its columns, and what stands in them. Orders and folds nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from memtrace.model import fields, words
from memtrace.model.history import NO_TREND, Trend
from memtrace.model.outline import Entry
from memtrace.model.shapes import Container
from memtrace.model.units import percent, short_size, signed_size
from memtrace.views.screen import cells, charts
from memtrace.views.screen.listing import FILL, Column, Row
from memtrace.views.screen.look import SEVERITY, Ink, Look

GONE = " (gone)"
_NAME_WIDER = ((9.2, 24), (12.5, 32), (18.0, 48))
_CAUSE_WIDER = ((9.3, 30), (14.5, 44), *FILL)
_BAR_FROM = 9  # columns from which the share of the limit gets a bar


class Item(NamedTuple):
    """A row of the list with all that is drawn of it."""

    entry: Entry
    trend: Trend
    look: Look

    @property
    def container(self) -> Container:
        """Whose row this is."""
        return self.entry.container


def item(entry: Entry, trends: Mapping[int, Trend], look: Look) -> Item:
    """Return the row of an entry."""
    return Item(entry, trends.get(entry.key, NO_TREND), look)


def figure(container: Container, name: str) -> int | None:
    """Return an amount by its field's name; None is unknown.

    A removed cgroup has no files any more: what it caches only the ledger knows.
    """
    if name == "file_bytes" and container.source.state == "removed":
        return container.page_cache.attributed_bytes
    for part in (container.memory, container.working_set, container.page_cache, container):
        if name in part._fields:
            value: int | None = getattr(part, name)
            return value
    return None


def _label(row: Item) -> str:
    return _indented(row) + _gone(row)


def _indented(row: Item) -> str:
    """Return the name behind its place in the tree."""
    entry = row.entry
    marks = {None: "", True: row.look.folded, False: row.look.unfolded}
    return " " * entry.depth + marks[entry.folded] + entry.name


def _gone(row: Item) -> str:
    return GONE if row.container.source.state == "removed" else ""


def _name(row: Item, room: int) -> str:
    gone = _gone(row) if room > 2 * len(GONE) else ""
    return cells.name(_indented(row), room - len(gone)) + gone


def _share(row: Item) -> float | None:
    usage, limit = row.container.memory.usage_bytes, row.container.memory.limit_bytes
    return None if usage is None or not limit else usage / limit


def _limit(row: Item, room: int) -> str:
    memory = row.container.memory
    text = percent(memory.usage_bytes, memory.limit_bytes)
    if room < _BAR_FROM or text == "-":
        return cells.number(text, room)
    chart = charts.bar(memory.usage_bytes, memory.limit_bytes, room - 5, row.look)
    return chart + cells.number(text, 5)


def _trend(row: Item, room: int) -> str:
    return charts.sparkline(row.trend, room, row.look)


def _since(row: Item) -> int | None:
    return row.trend.since_start_bytes


def _verdict(row: Item) -> str:
    return words.verdict_briefly(row.container.verdict)


def _severity(row: Item) -> Ink:
    return SEVERITY.get(row.container.verdict.severity, Ink.PLAIN)


def _cause(row: Item) -> str:
    return words.top_cause(row.container)


def _namespace(row: Item) -> str:
    return row.container.source.identity.namespace or ""


def _amount(field: fields.Field, rank: float) -> Column[Item]:
    return sized(field, rank, lambda row: figure(row.container, field.name))


def sized(field: fields.Field, rank: float, value: Callable[[Row], int | None]) -> Column[Row]:
    """Return a column of amounts of bytes; changes carry their sign."""
    signed = field.name.endswith("_delta_bytes") or field is fields.SINCE_START
    text = signed_size if signed else short_size
    return Column(field, lambda row, room: cells.number(text(value(row)), room), rank, value)


def _figures() -> dict[str, fields.Field]:
    return {field.name: field for field in (*fields.MEMORY, *fields.PAGE_CACHE)}


_OF = _figures()

# Left to right; the second number is how long a column stays when the screen gets narrow.
COLUMNS: tuple[Column[Item], ...] = (
    Column(fields.NAME, _name, 0, lambda row: row.entry.name.lower(), False),
    Column(
        fields.NAMESPACE, lambda row, room: cells.name(_namespace(row), room), 13, _namespace, False
    ),
    _amount(_OF["usage_bytes"], 1),
    Column(fields.LIMIT_SHARE, _limit, 3, _share, wider=((9.1, 11),)),
    _amount(_OF["anon_bytes"], 7),
    _amount(_OF["file_bytes"], 6),
    _amount(_OF["shmem_bytes"], 8.5),
    _amount(_OF["slab_bytes"], 8.6),
    Column(
        _OF["swap_bytes"],
        lambda row, room: cells.number(short_size(row.container.memory.swap_bytes), room),
        8.7,
        lambda row: row.container.memory.swap_bytes or None,  # without swap the first to go
    ),
    _amount(_OF["baseline_bytes"], 12),
    _amount(_OF["working_set_bytes"], 14),
    _amount(_OF["clean_bytes"], 15),
    _amount(_OF["dirty_bytes"], 16),
    _amount(fields.ADDED_NOW, 17),
    _amount(fields.GROWTH, 2),
    sized(fields.SINCE_START, 8, _since),
    Column(fields.TREND, _trend, 9, None, True, ((15, 20),)),
    Column(
        fields.VERDICT,
        lambda row, room: cells.left(_verdict(row), room),
        4,
        _verdict,
        right=False,
        ink=_severity,
    ),
    Column(
        fields.CAUSE, lambda row, room: cells.cause(_cause(row), room), 5, None, False, _CAUSE_WIDER
    ),
)


def columns_for(rows: Sequence[Item]) -> tuple[Column[Item], ...]:
    """Return the columns. Names get what the longest one needs, if there is room.

    A column in which nothing is known of any row goes before all others; changes will be
    known soon.
    """
    longest = max((cells.width(cells.shown(_label(row))) for row in rows), default=0)
    names = replace(COLUMNS[0], wider=tuple((r, min(longest, w)) for r, w in _NAME_WIDER))
    return (names, *(column if _known(column, rows) else _last(column) for column in COLUMNS[1:]))


def _known(column: Column[Item], rows: Sequence[Item]) -> bool:
    if column.value is None or column.field.name.endswith("_delta_bytes"):
        return True
    return any(column.value(row) not in (None, "") for row in rows)


def _last(column: Column[Item]) -> Column[Item]:
    return replace(column, rank=column.rank + len(COLUMNS))


# What -s calls a column.
SORTS: dict[str, str] = {
    "usage": "usage_bytes",
    "wset": "working_set_bytes",
    "anon": "anon_bytes",
    "file": "file_bytes",
    "clean": "clean_bytes",
    "growth": "usage_delta_bytes",
    "added": "added_delta_bytes",
    "name": "name",
}
