"""Ctrl-C and SIGTERM as a wish, not as an exception: everything is detached in order.

An exception raised by a signal handler is lost when it strikes inside a callback from
C, and the libbpf library calls back while programs are being loaded.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Waiter(Protocol):
    """What may be waiting when the signal comes."""

    def stop(self) -> None:
        """End the wait; safe in a signal handler."""


class Stopping:
    """Whether the user asked to stop, and who has to be told."""

    def __init__(self) -> None:
        self.asked = False
        self._waiter: Waiter | None = None

    def tell(self, waiter: Waiter) -> None:
        """From now on end this one's wait, too."""
        self._waiter = waiter

    def raise_if_asked(self) -> None:
        """Raise KeyboardInterrupt in the middle of long work, where nothing can swallow it."""
        if self.asked:
            raise KeyboardInterrupt

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:  # asked twice: something hangs
            raise KeyboardInterrupt
        self.asked = True
        if self._waiter is not None:
            self._waiter.stop()


@contextmanager
def stopping() -> Iterator[Stopping]:
    """Take SIGINT and SIGTERM over for the length of the block."""
    wish = Stopping()
    before = {number: signal.signal(number, wish._handle) for number in SIGNALS}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
