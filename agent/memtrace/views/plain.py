"""A Snapshot as rows of text: on a terminal, in a pipe, in a log. Draws; chooses no rows."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from memtrace.model import remarks, words
from memtrace.model.fields import CAUSE, GROWTH, LIMIT_SHARE, NAME, PLAIN, Field
from memtrace.model.latest import additions
from memtrace.model.selection import display_name
from memtrace.model.shapes import Container, PageCache, Snapshot
from memtrace.model.units import percent, short_size, signed_size
from memtrace.views.text import columns, cut, cut_front, cut_middle, pad, printable

DEFAULT_WIDTH = 80
_LEAST_WIDTH = 60
_NOTABLE = ("warning", "critical")
_WHOLE = "(node)"
_LATEST = 5
_LATEST_NAME = 24
_GONE = " (gone)"


class Page(NamedTuple):
    """What to draw: the rows in order, the whole node or None, and how many rows were left out."""

    rows: Sequence[Container]
    whole: Container | None = None
    left_out: int = 0
    width: int = DEFAULT_WIDTH
    faded: Sequence[Container] = ()  # removed ones with next to nothing left: no row each


def render(snapshot: Snapshot, page: Page) -> str:
    """Return the page, one line per container between a heading and what to know about it."""
    width = max(page.width, _LEAST_WIDTH)
    names = [_name(container) for container in page.rows]
    name_width = _name_width([_WHOLE, *names], width)
    lines = [
        _heading(snapshot, width),
        _titles(name_width),
        *(_row(c, name, name_width, width) for c, name in zip(page.rows, names, strict=True)),
        *_whole_row(page.whole, name_width, width),
        *_latest(page.rows, width),
        *_wrapped(_remarks(snapshot, page), width),
    ]
    return "".join(line.rstrip() + "\n" for line in lines)


def _heading(snapshot: Snapshot, width: int) -> str:
    clock = datetime.fromtimestamp(snapshot.time).strftime("%H:%M:%S")
    facts = (
        f"memtrace on {printable(snapshot.node)}",
        clock,
        f"cgroup {printable(snapshot.cgroup_mode)}",
        f"engine {printable(snapshot.engine)}",
    )
    return cut(", ".join(facts), width)


def _titles(name_width: int) -> str:
    cells = [pad(NAME.title, name_width)]
    cells += [field.title.rjust(field.width) for field in PLAIN[1:-1]]
    return " ".join((*cells, CAUSE.title))


def _row(container: Container, name: str, name_width: int, width: int) -> str:
    cells = [pad(_cut_name(name, name_width), name_width)]
    cells += [_cell(container, field).rjust(field.width) for field in PLAIN[1:-1]]
    numbers = " ".join(cells)
    return f"{numbers} {_cause(container, width - columns(numbers) - 1)}"


def _cell(container: Container, field: Field) -> str:
    if field is GROWTH:
        return signed_size(container.usage_delta_bytes)
    if field is LIMIT_SHARE:
        return percent(container.memory.usage_bytes, container.memory.limit_bytes)
    return short_size(_figure(container, field))


def _figure(container: Container, field: Field) -> int | None:
    """Return a figure; a removed cgroup has no files any more, what it caches only the ledger."""
    if field.name in PageCache._fields:
        value: int | None = getattr(container.page_cache, field.name)
    elif field.name == "file_bytes" and container.source.state == "removed":
        value = container.page_cache.attributed_bytes
    else:
        value = getattr(container.memory, field.name)
    return value


def _cause(container: Container, room: int) -> str:
    return _fitted(words.top_cause(container), room)


def _fitted(cause: str, room: int) -> str:
    """Return a cause in words; where it is too long the path loses its front first."""
    text = printable(cause)
    done, arrow, path = text.partition(" -> ")
    left = room - columns(done) - len(arrow)
    if not arrow or left < room // 4:
        return cut(text, room)
    return f"{done}{arrow}{cut_front(path, left)}"


def _name(container: Container) -> str:
    gone = _GONE if container.source.state == "removed" else ""
    return printable(display_name(container)) + gone


def _cut_name(name: str, width: int) -> str:
    """Cut the name, never the word that says that its cgroup is gone."""
    if not name.endswith(_GONE):
        return cut_middle(name, width)
    return cut_middle(name.removesuffix(_GONE), width - len(_GONE)) + _GONE


def _name_width(names: Sequence[str], width: int) -> int:
    """Return as much as the longest name needs, up to what the screen can spare."""
    most = max(NAME.width, NAME.width + (width - DEFAULT_WIDTH) // 2)
    return min(most, max([len(NAME.title), *map(columns, names)]))


def _whole_row(whole: Container | None, name_width: int, width: int) -> list[str]:
    return [] if whole is None else [_row(whole, _WHOLE, name_width, width)]


def _latest(rows: Sequence[Container], width: int) -> Iterable[str]:
    """Spell out what was added most since the table before: the row has room for a part only."""
    found = additions(rows)
    if found:
        yield "latest additions to the cache:"
    for addition in found[:_LATEST]:
        name = cut_middle(_name(addition.container), _LATEST_NAME)
        many = f" ({addition.times} times)" if addition.times > 1 else ""
        head = f"{signed_size(addition.added_bytes):>6}  {name}: "
        room = width - columns(head) - columns(many)
        yield head + _fitted(words.cause(addition.driver), room) + many


def _remarks(snapshot: Snapshot, page: Page) -> Iterable[str]:
    if not page.rows:
        yield "No container matches now."
    if page.left_out:
        yield f"{page.left_out} more: use -r ROWS to see them."
    if page.faded:
        yield f"{remarks.leftovers(page.faded)}."
    yield from _verdicts(page.rows)
    yield from _swapped(snapshot, page.rows)
    yield remarks.unattributed([page.whole] if page.whole is not None else list(page.rows))
    yield printable(remarks.baseline(snapshot.baseline))
    yield remarks.losses(snapshot.lost)
    yield from map(printable, remarks.features_off(snapshot))
    yield _legend(snapshot.interval_seconds)


def _verdicts(rows: Sequence[Container]) -> Iterable[str]:
    """Say what a row means where it was asked for alone, or where it needs attention."""
    for container in rows:
        if len(rows) == 1 or container.verdict.severity in _NOTABLE:
            yield f"{_name(container)}: {printable(container.verdict.claim)}"
        if len(rows) == 1 and (explained := words.working_set(container.working_set)):
            yield explained


def _swapped(snapshot: Snapshot, rows: Sequence[Container]) -> Iterable[str]:
    """Say who is in swap, most first, and what the machine has of it; nothing without swap."""
    node = words.swap(snapshot.swap)
    inside = sorted((c for c in rows if c.memory.swap_bytes), key=_swap_bytes, reverse=True)
    amounts = [f"{_name(c)} {short_size(c.memory.swap_bytes)}" for c in inside[:_LATEST]]
    if node:
        yield "; ".join([f"node: {node}", *([f"in swap: {', '.join(amounts)}"] if amounts else [])])


def _swap_bytes(container: Container) -> int:
    return container.memory.swap_bytes or 0


def _legend(interval: float | None) -> str:
    growth = "comes next" if interval is None else f"in {interval:.1f} s"
    return f"CACHE includes shared memory; 1M: 1 MiB; -: unknown or none; GROWTH {growth}"


def _wrapped(lines: Iterable[str], width: int) -> Iterable[str]:
    for line in lines:
        yield from textwrap.wrap(line, width, subsequent_indent="  ") or [""]
