"""Single keys from a terminal while rows scroll by: no Enter needed, nothing echoed."""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def keyboard(wanted: bool) -> Iterator[int | None]:
    """Yield the descriptor to watch for keys; None when there is no terminal to read from.

    A process in the background must not touch the terminal: it would be stopped.
    """
    if not (wanted and sys.stdin.isatty() and _in_foreground()):
        yield None
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    try:
        yield fd
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def pressed(fd: int) -> str:
    """The keys waiting at `fd`; to be called when it is readable."""
    return os.read(fd, 64).decode("ascii", "ignore")


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        return False
