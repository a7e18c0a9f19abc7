"""What the user looks at: which list, where in it, how sorted, what is hidden. Draws nothing.

Everything a key can change is here, and nothing that a new snapshot changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from memtrace.model.history import Trends
from memtrace.model.outline import Entry, flat, grouped, rows_among
from memtrace.model.selection import Selection, faded, matching, select
from memtrace.model.shapes import Container, Snapshot
from memtrace.views.screen.listing import Cursor, arranged
from memtrace.views.screen.look import Look
from memtrace.views.screen.panes import PANES, Pane
from memtrace.views.screen.table import COLUMNS, SORTS, Item, item

EVERYTHING = Selection()


class Position(NamedTuple):
    """Where in a recording of `of_seconds` a moment is."""

    seconds: float
    of_seconds: float
    is_last: bool


class Scene(NamedTuple):
    """One moment: what is drawn does not change until the next one. `position`: in a replay."""

    snapshot: Snapshot
    trends: Trends
    position: Position | None = None


class Typing(NamedTuple):
    """The user is typing a filter; `before` is the one that Escape brings back."""

    before: str


class Listed(NamedTuple):
    """The rows of the list of containers, and what it leaves out."""

    items: Sequence[Item]
    rows: Sequence[Container]  # those that add up without overlap
    left_out: int = 0
    faded: Sequence[Container] = ()


@dataclass(slots=True)
class View:
    """The state of the screen. `inside` is the id of the container that was entered."""

    look: Look
    wanted: Selection = EVERYTHING
    most_rows: int | None = None
    interval: float = 2.0
    main: Cursor = field(default_factory=Cursor)
    inside: Container | None = None
    tab: int = 0
    lists: list[Cursor] = field(default_factory=lambda: [Cursor(sort=p.sort) for p in PANES])
    help: Cursor | None = None
    toggled: set[int] = field(default_factory=set)
    flat: bool = False
    filter: str = ""
    typing: Typing | None = None
    paused: bool = False
    busy: str = "attaching to the kernel"

    @property
    def pane(self) -> Pane:
        """The list shown inside a container."""
        return PANES[self.tab]

    @property
    def cursor(self) -> Cursor:
        """The one that keys move."""
        if self.help is not None:
            return self.help
        return self.lists[self.tab] if self.inside is not None else self.main

    @property
    def narrowed(self) -> bool:
        """Whether some containers are hidden because the user asked for others."""
        return bool(self.wanted or self.filter)

    def show_all(self) -> None:
        """Hide no container any more."""
        self.wanted, self.filter = EVERYTHING, ""

    def fold(self, entry: Entry | None, close: bool) -> None:
        """Fold or unfold the group; from a row that is none, folding goes up to its group."""
        if entry is None or entry.folded is close:
            return
        if entry.folded is not None:
            self.toggled ^= {entry.key}
        elif close and entry.depth:
            self.main.key = entry.container.source.parent_id


def start(look: Look, wanted: Selection, sort: str, rows: int | None, interval: float) -> View:
    """Return the view that the command line asks for. `sort` is one of table.SORTS."""
    return View(look, wanted, rows, interval, Cursor(sort=SORTS[sort]))


def listed(view: View, scene: Scene) -> Listed:
    """Return the rows of the list of containers in their order."""
    everything = scene.snapshot.containers
    rows = _rows(view, everything)
    gone = [] if view.narrowed else [row for row in rows if faded(row)]
    if gone:
        rows = [row for row in rows if not faded(row)]
    kept = _first(view, scene, rows)
    if view.flat or view.narrowed:
        entries = flat(kept, lambda found: _order(view, scene, found))
    else:
        entries = grouped(everything, kept, lambda found: _order(view, scene, found), view.toggled)
    items = [item(entry, scene.trends, view.look) for entry in entries]
    return Listed(items, kept, len(rows) - len(kept), gone)


def entry_at(view: View, scene: Scene | None) -> Entry | None:
    """Return the row under the cursor of the list of containers."""
    if scene is None:
        return None
    items = listed(view, scene).items
    return next((found.entry for found in items if found.entry.key == view.main.key), None)


def inside(view: View, scene: Scene | None) -> Container | None:
    """Return the container that was entered, as it is now; once it is gone, as it was last."""
    if view.inside is not None and scene is not None:
        key = view.inside.source.cgroup_id
        found = (c for c in scene.snapshot.containers if c.source.cgroup_id == key)
        view.inside = next(found, view.inside)
    return view.inside


def pane_rows(view: View, container: Container, width: int) -> list[object]:
    """Return the rows of the list inside a container in their order."""
    rows = view.pane.rows(container, width)
    return arranged(rows, view.pane.columns, view.cursor)


def _rows(view: View, everything: Sequence[Container]) -> list[Container]:
    chosen = select(everything, view.wanted) if view.wanted else everything
    if view.filter:
        chosen = matching(chosen, view.filter)
    return rows_among(everything, chosen) or (list(chosen) if view.narrowed else [])


def _first(view: View, scene: Scene, rows: list[Container]) -> list[Container]:
    """Return the rows that come first, as many as the command line allows."""
    if view.most_rows is None or len(rows) <= view.most_rows:
        return rows
    entries = flat(rows, lambda found: _order(view, scene, found))
    return [entry.container for entry in entries[: view.most_rows]]


def _order(view: View, scene: Scene, entries: Iterable[Entry]) -> list[Entry]:
    items = [item(entry, scene.trends, view.look) for entry in entries]
    return [found.entry for found in arranged(items, COLUMNS, view.main)]
