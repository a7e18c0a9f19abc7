"""A screen on a terminal: one thread finds what to show, the other draws it and reads keys.

Wires the source of scenes to the screen and ends both in order. Draws nothing itself.
"""

from __future__ import annotations

import argparse
import locale
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from memtrace.commands.common import MissingFeatureError
from memtrace.commands.inside import InsideLive
from memtrace.commands.keys import in_foreground, restored_terminal
from memtrace.commands.stopping import Stopping, stopping

if TYPE_CHECKING:
    from memtrace.commands.top import Live
    from memtrace.model.selection import Selection
    from memtrace.model.shapes import Snapshot
    from memtrace.views.screen.app import TopScreen
    from memtrace.views.screen.look import Look
    from memtrace.views.screen.view import Scene

_NO_SCREEN = ("", "dumb", "unknown")
_NO_COLOUR = ("vt", "linux-m", "xterm-mono", "ansi-m")
_NO_UNICODE = ("vt", "linux", "ansi")

# Live sampling as top wires it: opened, then snapshots until `count`; told by keys at a descriptor.
Feed = Callable[["Live", Stopping, int], Iterator["Snapshot"]]
Opener = Callable[[], AbstractContextManager["Live"]]
# What there is to see, one scene after another; told what the user wants; says what takes long.
Scenes = Callable[[Stopping, "Wishes", Callable[[str], None]], Iterator["Scene"]]


def possible(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether there is a terminal that can move its cursor, and that is ours to use."""
    terminals = sys.stdin.isatty() and sys.stdout.isatty()
    return terminals and environ.get("TERM", "") not in _NO_SCREEN and in_foreground()


def look_of(environ: Mapping[str, str], encoding: str) -> Look:
    """Return what the terminal can show, from TERM, NO_COLOR and the locale's encoding."""
    from memtrace.views.screen.look import look

    term = environ.get("TERM", "")
    colour = not environ.get("NO_COLOR") and not term.startswith(_NO_COLOUR)
    unicode = "utf" in encoding.lower() and not term.startswith(_NO_UNICODE)
    return look(colour, unicode)


class Wishes:
    """What the user wants of the sampling thread: bytes in a pipe, as if keys were pressed."""

    def __init__(self) -> None:
        self.fd, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.inside: int | None = None  # the container that is looked into

    def stop(self) -> None:
        """End; safe in a signal handler."""
        self._send(b"q")

    def look_anew(self) -> None:
        """Take the baseline again."""
        self._send(b"b")

    def look_inside(self, cgroup: int | None) -> None:
        """Watch more of the container with this id while it is looked into; None: no more."""
        self.inside = cgroup
        self._send(b"w")

    def count_slab(self) -> None:
        """Take a census of kernel memory."""
        self._send(b"s")

    def press(self, key: str) -> None:
        """Tell of a key that means something to the source of scenes."""
        self._send(key.encode())

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self.fd)
        os.close(self._write)

    def _send(self, key: bytes) -> None:
        with suppress(BlockingIOError):  # full of wishes that nobody has read yet
            os.write(self._write, key)


def run(options: argparse.Namespace, wanted: Selection, opener: Opener, feed: Feed) -> int:
    """Show what happens until COUNT, `q`, Ctrl-C or SIGTERM. Raises what ended the sampling."""
    load()
    from memtrace.views.screen.app import TopScreen
    from memtrace.views.screen.terminal import Terminal
    from memtrace.views.screen.view import start

    view = start(own_look(), wanted, options.sort, options.rows, options.interval)
    scenes = partial(_live_scenes, opener, feed, options.interval)
    return show(
        scenes,
        lambda begin, w: TopScreen(view, begin, w.look_anew, Terminal, w.look_inside, w.count_slab),
    )


def own_look() -> Look:
    """Return what this terminal can show."""
    return look_of(os.environ, locale.getpreferredencoding(False))


def show(scenes: Scenes, made: Callable[[Callable[[], None], Wishes], TopScreen]) -> int:
    """Show scenes on the screen that `made` makes, until there are no more or the user ends it.

    Raises what ended them.
    """
    with stopping() as wish, _wishes() as wishes, restored_terminal():
        source = _Source(scenes, wish, wishes)
        app = made(lambda: source.start(app), wishes)
        wish.tell(_Ending(wishes, app))
        try:
            app.run(mouse=False)
        finally:
            source.end()
    failure = source.failure or app.failure
    if failure is not None:
        raise failure
    return 0


def _live_scenes(
    opener: Opener,
    feed: Feed,
    interval: float,
    wish: Stopping,
    wishes: Wishes,
    be_busy: Callable[[str], None],
) -> Iterator[Scene]:
    from memtrace.model.history import History
    from memtrace.views.screen.view import Scene

    def found(done: int, pages: int) -> None:
        wish.raise_if_asked()
        what = f": {done} file systems, {pages} pages" if done else ", adding up"
        be_busy(f"looking at what is cached{what}")

    def counted(done: float) -> None:
        wish.raise_if_asked()
        be_busy(f"counting kernel objects: {done:.0%} of memory")

    history = History()
    with opener() as live:
        live.on_progress, live.on_census = found, counted
        watching = InsideLive(live, lambda: wishes.inside)
        for snapshot in feed(watching, wish, wishes.fd):
            yield Scene(snapshot, history.add(snapshot))
        if not wish.asked:  # COUNT is reached: the last one is there to be read, too
            watching.wait(interval, wishes.fd)


def load() -> None:
    """Load what draws; a killed screen must leave the keyboard sane, so no extended keys."""
    os.environ.setdefault("TEXTUAL_DISABLE_KITTY_KEY", "1")
    try:
        import textual  # noqa: F401
    except ImportError as error:
        raise MissingFeatureError(
            "the screen needs the Python package textual; install it, or use --plain."
        ) from error


@contextmanager
def _wishes() -> Iterator[Wishes]:
    wishes = Wishes()
    try:
        yield wishes
    finally:
        wishes.close()


class _Ending:
    """What a signal does: both threads end, the terminal's first."""

    def __init__(self, wishes: Wishes, app: TopScreen) -> None:
        self._wishes, self._app = wishes, app

    def stop(self) -> None:
        """End; safe in a signal handler."""
        self._wishes.stop()
        self._app.finish()


class _Source:
    """The other thread: everything that touches the kernel or a file happens there."""

    def __init__(self, scenes: Scenes, wish: Stopping, wishes: Wishes) -> None:
        self._scenes, self._wish, self._wishes = scenes, wish, wishes
        self._thread: threading.Thread | None = None
        self.failure: BaseException | None = None

    def start(self, app: TopScreen) -> None:
        """Begin, and feed the app."""
        self._thread = threading.Thread(target=self._run, args=(app,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop, and wait until everything is closed."""
        self._wish.asked = True
        self._wishes.stop()
        if self._thread is not None:
            self._thread.join()

    def _run(self, app: TopScreen) -> None:
        try:
            for scene in self._scenes(self._wish, self._wishes, app.be_busy):
                app.arrive(scene)
        except KeyboardInterrupt:  # asked to stop in the middle of a baseline
            pass
        except BaseException as error:  # the command's own thread raises it again
            self.failure = error
        finally:
            app.finish()
