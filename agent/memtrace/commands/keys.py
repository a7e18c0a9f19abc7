"""Single keys from a terminal while rows scroll by: no Enter needed, nothing echoed, all undone."""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def keyboard(wanted: bool) -> Iterator[int | None]:
    """Yield the descriptor to watch for keys; None when there is no terminal to read from.

    A process in the background must not touch the terminal: it would be stopped.
    """
    if not (wanted and sys.stdin.isatty() and in_foreground()):
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


# Ends what a screen may have switched on: a buffer of its own, reports of focus and paste.
_AS_USUAL = "\x1b[?1049l\x1b[?1004l\x1b[?2004l\x1b[?7h\x1b[?25h"


@contextmanager
def restored_terminal() -> Iterator[None]:
    """Leave the terminal as it was, also when whoever changed it could not clean up."""
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        yield
    finally:
        with suppress(OSError, termios.error):  # the terminal itself may be gone
            if termios.tcgetattr(fd) != before:
                termios.tcsetattr(fd, termios.TCSADRAIN, before)
                sys.stdout.write(_AS_USUAL)
                sys.stdout.flush()


def in_foreground() -> bool:
    """Tell whether the terminal's keys are for this process."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        return False
