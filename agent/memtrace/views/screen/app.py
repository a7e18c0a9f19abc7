"""The Textual app: keys change the view, snapshots arrive from outside, lines are drawn.

Neither samples nor waits. Whoever feeds it may do so from another thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.events import Event, Key, Paste
from textual.message import Message

from memtrace.model.shapes import Container
from memtrace.views.screen.canvas import Canvas
from memtrace.views.screen.frame import draw
from memtrace.views.screen.listing import Cursor, sortable
from memtrace.views.screen.look import Line
from memtrace.views.screen.panes import PANES, SLAB
from memtrace.views.screen.table import COLUMNS
from memtrace.views.screen.view import Scene, Typing, View, entry_at

_LONGEST_FILTER = 255


class Arrived(Message):
    """A new moment to show."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.scene = scene


class Busy(Message):
    """What takes long just now; empty when it is over."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


def _key(keys: str, action: str) -> Binding:
    return Binding(keys, action, show=False)


class TopScreen(App[None]):
    """`begin` is called once the first frame is up, `look_anew` when the user wants a baseline.

    `look_inside` is called with the id of the container that was entered, None when it is left,
    `count_slab` when the list of kernel objects is opened.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen, Canvas { background: ansi_default; color: ansi_default; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("q,ctrl+c,ctrl+q", "quit"),
        _key("ctrl+z", "suspend_process"),
        _key("down,j", "move(1)"),
        _key("up,k", "move(-1)"),
        _key("pagedown,ctrl+f", "page(1)"),
        _key("pageup,ctrl+b", "page(-1)"),
        _key("home,g", "move(-1000000)"),
        _key("end,G", "move(1000000)"),
        _key("enter", "enter"),
        _key("escape,backspace", "leave"),
        _key("right,l", "sideways(1)"),
        _key("left", "sideways(-1)"),
        Binding("tab", "sideways(1)", show=False, priority=True),  # Textual's own moves the focus
        Binding("shift+tab", "sideways(-1)", show=False, priority=True),
        _key("less_than_sign", "sort(-1)"),
        _key("greater_than_sign", "sort(1)"),
        _key("r", "reverse"),
        _key("t", "flat"),
        _key("f,slash", "filter"),
        _key("space", "pause"),
        _key("b", "baseline"),
        _key("question_mark,h", "help"),
        *(_key(str(number), f"tab({number})") for number in range(1, len(PANES) + 1)),
    ]

    def __init__(
        self,
        view: View,
        begin: Callable[[], None],
        look_anew: Callable[[], None],
        driver: type[Driver] | None = None,
        look_inside: Callable[[int | None], None] = lambda _: None,
        count_slab: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(driver_class=driver, ansi_color=True)
        self.view = view
        self._begin = begin
        self._look_anew = look_anew
        self._look_inside = look_inside
        self._count_slab = count_slab
        self._scene: Scene | None = None
        self._latest: Scene | None = None
        self._canvas = Canvas(self._lines, view.look)
        self._running_in: asyncio.AbstractEventLoop | None = None

    # --- fed from outside, from any thread ---

    def arrive(self, scene: Scene) -> None:
        """Show this moment, unless the user paused."""
        self.post_message(Arrived(scene))

    def be_busy(self, text: str) -> None:
        """Say what takes long; an empty text ends it."""
        self.post_message(Busy(text))

    def finish(self) -> None:
        """End the app, from any thread and from a signal handler."""
        if self._running_in is not None and not self._running_in.is_closed():
            self._running_in.call_soon_threadsafe(self.exit)

    @property
    def failure(self) -> Exception | None:
        """What ended the app against its will."""
        return self._exception

    def _print_error_renderables(self) -> None:
        """Print no traceback: who ran the app says in a sentence what `failure` is."""

    # --- drawing ---

    def compose(self) -> ComposeResult:
        """Put the lines on the screen."""
        yield self._canvas

    def on_mount(self) -> None:
        """Show the empty frame, and begin when it is up."""
        self._running_in = asyncio.get_running_loop()
        self.call_after_refresh(self._begin)

    def _lines(self, width: int, height: int) -> list[Line]:
        return draw(self.view, self._scene, (width, height))

    def on_arrived(self, message: Arrived) -> None:
        """Keep the latest; draw it when not paused."""
        self._latest = message.scene
        self.view.busy = ""
        self._refresh()

    def on_busy(self, message: Busy) -> None:
        """Show what is going on."""
        self.view.busy = message.text
        self._canvas.redraw()

    @property
    def stands_still(self) -> bool:
        """Whether what arrives is not to be shown."""
        return self.view.paused

    def _refresh(self) -> None:
        if not self.stands_still or self._scene is None:
            self._scene = self._latest
        self._canvas.redraw()

    # --- keys ---

    async def action_quit(self) -> None:
        """End."""
        self.exit()

    def action_move(self, lines: int) -> None:
        """Move the cursor, or scroll the help."""
        cursor = self.view.cursor
        if self.view.help is not None:
            cursor.top += lines
        else:
            cursor.move(cursor.index + lines)
        self._canvas.redraw()

    def action_page(self, direction: int) -> None:
        """Move by what is visible."""
        visible = self.size.height if self.view.help is not None else self.view.cursor.height
        self.action_move(direction * max(1, visible - 2))

    def action_enter(self) -> None:
        """Look inside the selected container."""
        entry = entry_at(self.view, self._scene)
        if self.view.help is None and self.view.inside is None and entry is not None:
            self._enter(entry.container)
            self._open_list(self.view.tab)
            self._canvas.redraw()

    def action_leave(self) -> None:
        """Leave what is open: the help, a container, at last the filter."""
        view = self.view
        if view.help is not None:
            view.help = None
        elif view.inside is not None:
            self._enter(None)
        else:
            view.show_all()
        self._canvas.redraw()

    def _enter(self, container: Container | None) -> None:
        """Go into a container, or out of the one that is open."""
        if container is not self.view.inside:
            self.view.inside = container
            self._look_inside(None if container is None else container.source.cgroup_id)

    def action_sideways(self, direction: int) -> None:
        """Go to the next list inside a container; fold and unfold outside."""
        view = self.view
        if view.inside is not None:
            self._open_list((view.tab + direction) % len(PANES))
        else:
            view.fold(entry_at(view, self._scene), direction < 0)
        self._canvas.redraw()

    def action_tab(self, number: int) -> None:
        """Go to a list inside a container."""
        self._open_list(number - 1)
        self._canvas.redraw()

    def _open_list(self, tab: int) -> None:
        """Show a list; what is in the one of kernel objects has to be counted."""
        self.view.tab = tab
        if tab == SLAB and self.view.inside is not None:
            self.view.busy = "counting kernel objects"
            self._count_slab()

    def action_sort(self, direction: int) -> None:
        """Sort by the column beside the present one."""
        view, cursor = self.view, self.view.cursor
        columns = COLUMNS if view.inside is None else view.pane.columns
        names = sortable(columns, self.size.width, cursor.sort)
        if names:
            at = names.index(cursor.sort) + direction if cursor.sort in names else 0
            cursor.sort, cursor.reverse = names[at % len(names)], False
        self._canvas.redraw()

    def action_reverse(self) -> None:
        """Turn the order round."""
        self.view.cursor.reverse = not self.view.cursor.reverse
        self._canvas.redraw()

    def action_flat(self) -> None:
        """Show rows without groups, or with them."""
        self.view.flat = not self.view.flat
        self._canvas.redraw()

    def action_pause(self) -> None:
        """Let the screen stand still, or go on with the latest."""
        self.view.paused = not self.view.paused
        self._refresh()

    def action_baseline(self) -> None:
        """Ask for a new baseline, or a new census where that is what is shown."""
        if self.view.inside is not None and self.view.tab == SLAB:
            self._open_list(SLAB)
            self._canvas.redraw()
            return
        self.view.busy = "looking at what is cached"
        self._canvas.redraw()
        self._look_anew()

    def action_help(self) -> None:
        """Show or leave the help."""
        self.view.help = Cursor() if self.view.help is None else None
        self._canvas.redraw()

    def action_filter(self) -> None:
        """Let the user type a filter."""
        self.view.help = None
        self._enter(None)
        self.view.typing = Typing(self.view.filter)
        self._canvas.redraw()

    async def on_event(self, event: Event) -> None:
        """Take keys for the filter while it is typed: in their order, before they mean others."""
        typing = self.view.typing
        if typing is None or not isinstance(event, Key | Paste) or _ends(event):
            await super().on_event(event)
            return
        if isinstance(event, Paste):
            self.view.filter += "".join(event.text.splitlines()[:1])
        elif event.key == "enter":
            self.view.typing = None
        elif event.key == "escape":
            self.view.filter, self.view.typing = typing.before, None
        elif event.key == "backspace":
            self.view.filter = self.view.filter[:-1]
        elif event.key == "ctrl+u":
            self.view.filter = ""
        elif event.is_printable:
            self.view.filter += event.character or ""
        self.view.filter = self.view.filter[:_LONGEST_FILTER]
        self._canvas.redraw()


def _ends(event: Event) -> bool:
    return isinstance(event, Key) and event.key in ("ctrl+c", "ctrl+z")
