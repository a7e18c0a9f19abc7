"""`memtrace top`: a screen, a table or a line of JSON, at once and then every INTERVAL.

Wires the live source, the model and a view. Measures and draws nothing itself.
"""

from __future__ import annotations

import argparse
import gc
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from memtrace.commands.common import (
    DEFAULT_ROWS,
    TargetNotFoundError,
    UsageError,
    add_common,
    add_state_dir,
    cgroup_of,
    check_root,
    interval,
    live_errors,
    positive,
)
from memtrace.commands.keys import keyboard, pressed
from memtrace.commands.stopping import Stopping, stopping
from memtrace.commands.watch import add_watch, watch_chosen, watch_first

if TYPE_CHECKING:
    from memtrace.model.selection import Selection
    from memtrace.model.shapes import Container, Snapshot
    from memtrace.samples import Sample

DEFAULT_INTERVAL = 2.0
_GARBAGE_OBJECTS = 50_000
SORTS = ("usage", "wset", "anon", "file", "clean", "growth", "added", "name")

HELP: dict[str, Any] = {
    "description": """\
Show which container's memory grows, with what, and because of what. On a terminal a
screen, elsewhere and with --plain one table of text at once and then one every INTERVAL
seconds: COUNT times or until Ctrl-C.

  USAGE      all memory the kernel charges     LIM%       usage as a share of the limit
  ANON       heap, stacks                      CACHE      cached files, shared memory, tmpfs
  BEFORE     of the cache, what was there before memtrace (it may be gone by now)
  GROWTH     change of USAGE since the table before
  TOP CAUSE  who put most into the cache: what it did, which process, which file

Keys on the screen: arrows, j and k move; Enter looks inside a container (causes, files,
processes, kinds of I/O, memory, slab, verdict) and Esc goes back; left and right fold pods
and slices; < and > choose the column to sort by, r reverses; f filters; space pauses; b looks
anew at what is cached (the baseline); ? explains keys and columns; q ends.
With --plain on a terminal: b and q.
""",
    "epilog": """\
examples:
  sudo memtrace top -n shop -s growth      one namespace, fastest growing first
  sudo memtrace top -c postgres 1 10       one container, 10 tables, one per second
  sudo memtrace top --json 5 1             one line of JSON, then end
  sudo memtrace top --watch touchers,dirtiers --json -c db 5   who else uses its files
  sudo memtrace top --no-baseline          start at once, without what is cached already
""",
    "formatter_class": argparse.RawDescriptionHelpFormatter,
}


class Live(Protocol):
    """What yields samples."""

    def sample(self) -> Sample:
        """Read everything now."""

    on_progress: Callable[[int, int], None] | None
    on_census: Callable[[float], None] | None

    def wait(self, seconds: float, also: int | None = None) -> bool:
        """Sleep, draining events; return early after stop(), or True when `also` is readable."""

    def watch(self, names: frozenset[str], cgroup_ids: frozenset[int] | None) -> None:
        """Watch these on demand for these cgroups (None: all), and nothing else."""

    def request_baseline(self) -> None:
        """Take stock again of what is cached."""

    def request_census(self) -> None:
        """Count kernel objects (again)."""

    def stop(self) -> None:
        """End a wait; safe in a signal handler."""


Opener = Callable[[Path, str, bool], AbstractContextManager[Live]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `top` understands."""
    parser.add_argument(
        "interval",
        nargs="?",
        type=interval,
        default=DEFAULT_INTERVAL,
        metavar="INTERVAL",
        help="seconds between tables (%(default)g)",
    )
    parser.add_argument(
        "count", nargs="?", type=positive, metavar="COUNT", help="how many tables (no end)"
    )
    add_common(parser, SORTS)
    add_state_dir(parser)
    add_watch(parser)
    parser.add_argument("--plain", action="store_true", help="rows of text, also on a terminal")
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--baseline", action="store_true", help="look at what is cached already (the default)"
    )
    start.add_argument(
        "--no-baseline", action="store_true", help="do not look at what is cached already"
    )


def run(options: argparse.Namespace, opener: Opener | None = None) -> int:
    """Show tables until COUNT, Ctrl-C or SIGTERM. `opener`: what to open instead of the kernel."""
    _check(options)
    wanted = _wanted(options)
    if not (options.json or options.plain) and sys.stdout.isatty():
        from memtrace.commands import screen

        if screen.possible():
            start = partial(opened, options, opener)
            return screen.run(options, wanted, start, partial(_feed, options, wanted))
    return _print(options, wanted, opener)


def _print(options: argparse.Namespace, wanted: Selection, opener: Opener | None) -> int:
    with (
        stopping() as wish,
        keyboard(sys.stdout.isatty() and not options.json) as keys,
        opened(options, opener, partial(_load, options.json)) as live,
    ):
        wish.tell(live)
        live.on_progress = baseline_progress(wish)
        live.on_census = lambda _: wish.raise_if_asked()
        draw = drawer(wanted, options)
        for snapshot in _feed(options, wanted, live, wish, keys):
            print(draw(snapshot))
            sys.stdout.flush()
    return 0


def _feed(
    options: argparse.Namespace, wanted: Selection, live: Live, wish: Stopping, keys: int | None
) -> Iterator[Snapshot]:
    """Yield COUNT snapshots, or all there will be. Raises when what is wanted does not exist."""
    if options.baseline:
        live.request_baseline()
    watch_first(live, options.watch, wanted)
    for number, snapshot in enumerate(_snapshots(live, options, wish, keys), start=1):
        if number == 1:
            must_exist(snapshot, wanted)
            collect_seldom()
        watch_chosen(live, options.watch, wanted, snapshot)
        yield snapshot
        if number == options.count:
            return


def _check(options: argparse.Namespace) -> None:
    if options.json and options.plain:
        raise UsageError("--json and --plain exclude each other; give one of them.")
    check_root(options.root)


def _wanted(options: argparse.Namespace) -> Selection:
    from memtrace.model.selection import Selection

    where = None if options.pid is None else cgroup_of(options.pid, options.root)
    return Selection(options.namespace, options.pod, options.container, options.pid, where)


@contextmanager
def opened(
    options: argparse.Namespace,
    opener: Opener | None,
    meanwhile: Callable[[], None] | None = None,
) -> Iterator[Live]:
    """Open the kernel, or what `opener` opens, for the length of the block. Raises CommandError.

    `meanwhile`: what there is to do while BCC compiles.
    """
    if opener is not None:
        with opener(options.root, options.engine, not options.no_baseline) as live:
            yield live
        return
    from memtrace.collect.opening import open_live

    where = (options.root, options.engine, not options.no_baseline, options.state_dir)
    with live_errors(), open_live(*where, meanwhile=meanwhile) as live:
        yield live


def _load(json: bool) -> None:
    """Import what samples go through."""
    import memtrace.model.modeler

    if json:
        import memtrace.views.json  # noqa: F401


def baseline_progress(wish: Stopping) -> Callable[[int, int], None]:
    """Return what to do after each file system of the baseline walk: tell, and stop if asked."""
    shown = sys.stderr.isatty()

    def tell(done: int, pages: int) -> None:
        wish.raise_if_asked()
        if shown and done:
            sys.stderr.write(f"\rlooking at what is cached: {done} file systems, {pages} pages ")
        elif shown:
            sys.stderr.write("\r\x1b[K")

    return tell


def _snapshots(
    live: Live, options: argparse.Namespace, wish: Stopping, keys: int | None
) -> Iterator[Snapshot]:
    from memtrace.model.modeler import Modeler

    modeler = Modeler()
    for sample in samples(live, options.interval, wish, keys):
        yield modeler.snapshot(sample)


def samples(live: Live, interval: float, wish: Stopping, keys: int | None) -> Iterator[Sample]:
    """Yield the first sample at once, then one per interval, without drift."""
    started = time.monotonic()
    while not wish.asked:
        yield live.sample()
        due = started + next_tick(time.monotonic() - started, interval)
        _wait(live, due, wish, keys)


def next_tick(passed: float, interval: float) -> float:
    """Return when the next table is due, in seconds from the start, after `passed` seconds.

    Tables missed meanwhile (Ctrl-Z, a sample that took long) are left out, not made up for.
    """
    return (math.floor(passed / interval) + 1) * interval


def _wait(live: Live, until: float, wish: Stopping, keys: int | None) -> None:
    """Wait for the next table, and meanwhile do what the keys say."""
    while (left := until - time.monotonic()) > 0 and not wish.asked:
        if not live.wait(left, keys) or keys is None:
            continue
        for key in pressed(keys):
            if key == "q":
                wish.asked = True
            elif key == "b":
                live.request_baseline()
                return
            elif key == "s":
                live.request_census()
                return


def collect_seldom() -> None:
    """Have Python look for reference cycles seldom: there are none to speak of.

    What is there now stays for the run, and rows live for an interval; looking through them
    took an eighth of all CPU time.
    """
    gc.freeze()
    gc.set_threshold(_GARBAGE_OBJECTS)


def must_exist(snapshot: Snapshot, wanted: Selection) -> None:
    """Raise TargetNotFoundError when nothing is what was asked for."""
    from memtrace.model.selection import close_names, select

    if not wanted or select(snapshot.containers, wanted):
        return
    asked = " in ".join(
        f"{word} '{value}'"
        for word, value in zip(("namespace", "pod", "container", "process"), wanted, strict=False)
        if value is not None
    )
    close = close_names(snapshot.containers, wanted)
    hint = f"did you mean {' or '.join(close)}?" if close else "'memtrace top' lists what is there."
    raise TargetNotFoundError(f"nothing matches {asked}; {hint}")


def drawer(wanted: Selection, options: argparse.Namespace) -> Callable[[Snapshot], str]:
    """Return what turns each snapshot into the text to print."""
    from memtrace.model.selection import select

    draw = _json() if options.json else _table(wanted, options)

    def drawn(snapshot: Snapshot) -> str:
        chosen = select(snapshot.containers, wanted) if wanted else snapshot.containers
        return draw(snapshot, chosen)

    return drawn


Draw = Callable[["Snapshot", "Sequence[Container]"], str]


def _json() -> Draw:
    from memtrace.views.json import Renderer

    renderer = Renderer()
    return lambda snapshot, chosen: renderer.render(snapshot._replace(containers=tuple(chosen)))


def _table(wanted: Selection, options: argparse.Namespace) -> Draw:
    from memtrace.model.selection import faded, ordered, rows_of, whole_node
    from memtrace.views import plain

    def table(snapshot: Snapshot, chosen: Sequence[Container]) -> str:
        rows = rows_of(chosen)
        gone = [] if wanted else [row for row in rows if faded(row)]
        listed = ordered((row for row in rows if wanted or not faded(row)), options.sort)
        shown = listed[: options.rows or DEFAULT_ROWS]
        whole = None if wanted else whole_node(snapshot)
        page = plain.Page(shown, whole, len(listed) - len(shown), _width(), gone)
        return plain.render(snapshot, page)

    return table


def _width() -> int:
    """Return the terminal's width; in a pipe that of COLUMNS, or 80."""
    from shutil import get_terminal_size

    return get_terminal_size().columns
