"""Where a replay is and when it goes on: real time times the speed, keys, pause, the end.

Keeps to the recording's own clock and reads nothing but keys.
"""

from __future__ import annotations

import bisect
import select
import time
from collections.abc import Sequence

from memtrace.commands.keys import pressed
from memtrace.commands.stopping import Stopping
from memtrace.store.reader import Moment
from memtrace.views.screen.replay import BACK, FAR_BACK, FAR_ON, ON, PAUSE

FAR_SECONDS = 60.0
BETWEEN_RUNS_SECONDS = 2.0
"""How long the last moment before a gap is shown: nothing is known of the gap."""


class Player:
    """Goes through the moments of a recording."""

    def __init__(self, moments: Sequence[Moment], index: int, speed: float) -> None:
        self._moments = moments
        self._positions = [moment.position for moment in moments]
        self._speed = speed
        self._paused = False
        self.index = index

    @property
    def at_end(self) -> bool:
        """Whether there is no later moment."""
        return self.index + 1 >= len(self._moments)

    def wait(self, wish: Stopping, keys: int) -> None:
        """Return when another moment is due, because of time or keys, or the end is wished."""
        shown, started = self.index, time.monotonic()
        while not wish.asked and self.index == shown:
            left = self._pause()
            if left is not None:
                left -= time.monotonic() - started
                if left <= 0:
                    self.index += 1
                    return
            if not select.select([keys], [], [], left)[0]:
                continue
            for key in pressed(keys):
                if key == "q":
                    wish.asked = True
                self.press(key)

    def press(self, key: str) -> None:
        """Do what a key says."""
        here, last = self._positions[self.index], len(self._moments) - 1
        if key == PAUSE:
            self._paused = not self._paused
        elif key == BACK:
            self.index = max(0, self.index - 1)
        elif key == ON:
            self.index = min(last, self.index + 1)
        elif key == FAR_BACK:
            self.index = bisect.bisect_left(self._positions, here - FAR_SECONDS)
        elif key == FAR_ON:
            self.index = min(last, bisect.bisect_left(self._positions, here + FAR_SECONDS))

    def _pause(self) -> float | None:
        """Return how many seconds the moment is shown; None for as long as there is no key."""
        if self._paused or self.at_end:
            return None
        now, later = self._moments[self.index : self.index + 2]
        between = later.position - now.position if now.run == later.run else BETWEEN_RUNS_SECONDS
        return between / self._speed
