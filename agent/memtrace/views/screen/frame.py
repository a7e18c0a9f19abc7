"""The whole screen as lines: as many as it is high, each as wide as it. Only puts together.

What is left out when it is low: first the latest additions, then the meaning of the
selected row, then the state of the run; the list and the keys stay.
"""

from __future__ import annotations

from memtrace.model.shapes import Container
from memtrace.views.screen import cells, footer, heading
from memtrace.views.screen.help import help_lines
from memtrace.views.screen.listing import listing, padded
from memtrace.views.screen.look import Ink, Line, line
from memtrace.views.screen.panes import PANES, others
from memtrace.views.screen.table import columns_for
from memtrace.views.screen.view import Listed, Scene, View, inside, listed, pane_rows

_LATEST = 5
Size = tuple[int, int]


def draw(view: View, scene: Scene | None, size: Size) -> list[Line]:
    """Return exactly `size` (width, height) of lines. Moves the cursor with its row."""
    width, height = size
    container = inside(view, scene)
    if view.help is not None:
        lines = _help(view, scene, size)
    elif scene is None:
        lines = _waiting(view, size)
    elif container is not None:
        lines = _inside(view, scene, container, size)
    else:
        lines = _table(view, scene, size)
    return padded(lines, (width, height))


def _waiting(view: View, size: Size) -> list[Line]:
    width, height = size
    text = f"{view.busy} ..." if view.busy else ""
    lines = [heading.top_line(view, None, width), line(cells.left("", width))]
    lines.append(line(cells.left(text, width)))
    return [*padded(lines, (width, height - 1)), footer.keys_line([("q", "quit")], width)]


def _table(view: View, scene: Scene, size: Size) -> list[Line]:
    width, height = size
    found = listed(view, scene)
    below = _below(height)
    room = height - 3 - sum(below)
    columns = columns_for(found.items)
    body = listing(columns, found.items, lambda i: i.entry.key, view.main, (width, room), view.look)
    if not found.items:
        body = padded([body[0], _nothing(view, width)], (width, room))
    chosen = found.items[view.main.index].container if found.items else None
    top = heading.top_line(view, scene, width, _position(view, found, room - 1))
    return [
        top,
        heading.node_line(view, scene, width),
        *body,
        *_under(view, scene, found, chosen, below, width),
        _last(view, scene, width),
    ]


def _last(view: View, scene: Scene, width: int) -> Line:
    if view.typing is not None:
        return footer.typing_line(view.filter, width)
    live = scene.position is None
    return footer.keys_line(footer.TABLE_KEYS if live else footer.REPLAY_TABLE_KEYS, width)


def _below(height: int) -> tuple[int, int, int]:
    """Return how many lines the latest additions, the meaning and the state may take."""
    latest = _LATEST + 1 if height >= 34 else 0
    meaning = 7 if height >= 34 else 5 if height >= 20 else 0
    return latest, meaning, 2 if height >= 14 else 0


def _under(
    view: View,
    scene: Scene,
    found: Listed,
    chosen: Container | None,
    below: tuple[int, int, int],
    width: int,
) -> list[Line]:
    latest, meaning, state = below
    lines: list[Line] = []
    if latest:
        title = "added to the cache since the table before"
        lines += [footer.rule(width, view.look, title)]
        lines += footer.latest(found.rows, width, latest - 1)
    if meaning:
        name = found.items[view.main.index].entry.name if found.items else ""
        lines += [footer.rule(width, view.look, name)]
        blank = [line(cells.left("", width))] * (meaning - 1)
        lines += footer.meaning(chosen, width, meaning - 1) if chosen else blank
    return lines + footer.state(scene, found, view.narrowed, width, state)


def _nothing(view: View, width: int) -> Line:
    text = "No container matches; Esc shows all." if view.narrowed else "No container."
    return line(cells.left(text, width))


def _position(view: View, found: Listed, height: int) -> str:
    count = len(found.items)
    if count <= height:
        return f"{count} rows"
    return f"rows {view.main.top + 1}-{min(count, view.main.top + height)} of {count}"


def _inside(view: View, scene: Scene, container: Container, size: Size) -> list[Line]:
    width, height = size
    claim = 2 if height >= 14 and view.pane is not PANES[-1] else 0
    above = [
        heading.top_line(view, scene, width),
        *heading.inside_lines(view, scene, container, width, claim),
        heading.tabs_line(view, width),
    ]
    state = 2 if height >= 14 else 0
    detail = 2 if height >= 20 and view.pane is not PANES[-1] else 0
    room = height - len(above) - 1 - state - detail
    rows = pane_rows(view, container, width)
    kept = 1 if view.pane.keeps_rest else 0
    size = (width, room - kept)
    body = listing(view.pane.columns, rows, view.pane.key, view.cursor, size, view.look)
    rest = others(container, view.pane, scene.snapshot.census)
    if not rows and not kept:
        rest = view.pane.empty
    if kept:
        body.append(line(cells.left(rest, width), Ink.FAINT))
    elif rest and len(rows) + 1 < room:
        body[len(rows) + 1] = line(cells.left(rest, width), Ink.FAINT)
    keys = footer.INSIDE_KEYS if scene.position is None else footer.REPLAY_INSIDE_KEYS
    return [
        *above,
        *body,
        *_detail(view, rows, width, detail),
        *footer.state(
            scene, _alone(container), container.memory.file_bytes is not None, width, state
        ),
        footer.keys_line(keys, width),
    ]


def _alone(container: Container) -> Listed:
    return Listed((), [container])


def _detail(view: View, rows: list[object], width: int, height: int) -> list[Line]:
    """Return in full what the selected row had to cut."""
    text = view.pane.detail(rows[view.cursor.index]) if rows else ""
    return [line(part) for part in cells.folded(text, width, height)]


def _help(view: View, scene: Scene | None, size: Size) -> list[Line]:
    width, height = size
    texts = list(help_lines(scene, width))
    cursor = view.cursor
    cursor.top = max(0, min(cursor.top, len(texts) - height + 1))
    shown = [line(cells.left(text, width)) for text in texts[cursor.top :][: height - 1]]
    return [
        *padded(shown, (width, height - 1)),
        footer.keys_line([("Esc", "back"), ("up down", "scroll"), ("q", "quit")], width),
    ]
