"""The screen of a recording: as top's, but the arrows seek and a pause stops the player.

Knows no recording: it says what the user wants by the keys below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.driver import Driver

from memtrace.views.screen.app import TopScreen
from memtrace.views.screen.view import View

BACK, ON, FAR_BACK, FAR_ON, PAUSE = "h", "l", "H", "L", " "
"""One sample, a minute, and stop or go on."""


def _seek(keys: str, wish: str) -> Binding:
    return Binding(keys, f"seek('{wish}')", show=False)


class ReplayScreen(TopScreen):
    """`begin` is called once the first frame is up, `press` with one of the keys above."""

    BINDINGS: ClassVar[list[BindingType]] = [
        _seek("left", BACK),
        _seek("right", ON),
        _seek("shift+left,left_square_bracket", FAR_BACK),
        _seek("shift+right,right_square_bracket", FAR_ON),
    ]

    def __init__(
        self,
        view: View,
        begin: Callable[[], None],
        press: Callable[[str], None],
        driver: type[Driver] | None = None,
    ) -> None:
        super().__init__(view, begin, lambda: None, driver)
        self._press = press

    @property
    def stands_still(self) -> bool:
        """Never: in a pause nothing arrives but what was sought."""
        return False

    def action_seek(self, wish: str) -> None:
        """Go elsewhere in the recording."""
        self._press(wish)

    def action_pause(self) -> None:
        """Stop the player, or let it go on."""
        super().action_pause()
        self._press(PAUSE)

    def action_baseline(self) -> None:
        """Nothing: what was cached is as recorded."""

    def _open_list(self, tab: int) -> None:
        """Show a list; what was not counted then cannot be counted now."""
        self.view.tab = tab
