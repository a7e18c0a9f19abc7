"""`memtrace top` on a terminal: samples in one thread, draws and reads keys in the other.

Wires the source of snapshots to the screen and ends both in order. Draws nothing itself.
"""

from __future__ import annotations

import argparse
import locale
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
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

_NO_SCREEN = ("", "dumb", "unknown")
_NO_COLOUR = ("vt", "linux-m", "xterm-mono", "ansi-m")
_NO_UNICODE = ("vt", "linux", "ansi")

# Live sampling as top wires it: opened, then snapshots until `count`; told by keys at a descriptor.
Feed = Callable[["Live", Stopping, int], Iterator["Snapshot"]]
Opener = Callable[[], AbstractContextManager["Live"]]


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

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self.fd)
        os.close(self._write)

    def _send(self, key: bytes) -> None:
        with suppress(BlockingIOError):  # full of wishes that nobody has read yet
            os.write(self._write, key)


def run(options: argparse.Namespace, wanted: Selection, opener: Opener, feed: Feed) -> int:
    """Show the screen until COUNT, `q`, Ctrl-C or SIGTERM. Raises what ended the sampling."""
    _load()
    from memtrace.views.screen.app import TopScreen
    from memtrace.views.screen.terminal import Terminal
    from memtrace.views.screen.view import start

    look = look_of(os.environ, locale.getpreferredencoding(False))
    view = start(look, wanted, options.sort, options.rows, options.interval)
    with stopping() as wish, _wishes() as wishes, restored_terminal():
        sampler = _Sampler(opener, feed, wish, wishes, options.interval)
        app = TopScreen(
            view,
            lambda: sampler.start(app),
            wishes.look_anew,
            Terminal,
            wishes.look_inside,
            wishes.count_slab,
        )
        wish.tell(_Ending(wishes, app))
        try:
            app.run(mouse=False)
        finally:
            sampler.end()
    failure = sampler.failure or app.failure
    if failure is not None:
        raise failure
    return 0


def _load() -> None:
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


class _Sampler:
    """The other thread: everything that touches the kernel happens there."""

    def __init__(
        self, opener: Opener, feed: Feed, wish: Stopping, wishes: Wishes, interval: float
    ) -> None:
        self._opener, self._feed, self._wish, self._wishes = opener, feed, wish, wishes
        self._interval = interval
        self._thread: threading.Thread | None = None
        self.failure: BaseException | None = None

    def start(self, app: TopScreen) -> None:
        """Begin to sample, and feed the app."""
        self._thread = threading.Thread(target=self._run, args=(app,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop sampling, and wait until everything is detached."""
        self._wish.asked = True
        self._wishes.stop()
        if self._thread is not None:
            self._thread.join()

    def _run(self, app: TopScreen) -> None:
        try:
            self._sample(app)
        except KeyboardInterrupt:  # asked to stop in the middle of a baseline
            pass
        except BaseException as error:  # the command's own thread raises it again
            self.failure = error
        finally:
            app.finish()

    def _sample(self, app: TopScreen) -> None:
        from memtrace.model.history import History
        from memtrace.views.screen.view import Scene

        history = History()
        with self._opener() as live:
            live.on_progress = self._progress(app)
            live.on_census = self._counting(app)
            watching = InsideLive(live, lambda: self._wishes.inside)
            for snapshot in self._feed(watching, self._wish, self._wishes.fd):
                app.arrive(Scene(snapshot, history.add(snapshot)))
            if not self._wish.asked:  # COUNT is reached: the last one is there to be read, too
                watching.wait(self._interval, self._wishes.fd)

    def _counting(self, app: TopScreen) -> Callable[[float], None]:
        def tell(done: float) -> None:
            self._wish.raise_if_asked()
            app.be_busy(f"counting kernel objects: {done:.0%} of memory")

        return tell

    def _progress(self, app: TopScreen) -> Callable[[int, int], None]:
        def tell(done: int, pages: int) -> None:
            self._wish.raise_if_asked()
            found = f": {done} file systems, {pages} pages" if done else ", adding up"
            app.be_busy(f"looking at what is cached{found}")

        return tell
