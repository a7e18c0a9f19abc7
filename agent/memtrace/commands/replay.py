"""`memtrace replay`: a recording on the screen of top, as rows or as JSON; needs no privilege.

Wires the reader of recordings, the model and a view.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtrace.commands.common import CommandError, UsageError, add_view, duration
from memtrace.commands.top import SORTS, drawer, must_exist

if TYPE_CHECKING:
    from memtrace.commands.screen import Wishes
    from memtrace.commands.stopping import Stopping
    from memtrace.model.selection import Selection
    from memtrace.store.reader import Moment, Recording
    from memtrace.views.screen.view import Scene

HELP: dict[str, Any] = {
    "description": """\
Look at a recording that memtrace record made, as if it happened now: on a terminal the
screen of top, elsewhere and with --plain tables of text. Needs neither root nor BPF, and
may run while the recording is still being made.

Keys on the screen, beside those of top: left and right go one sample back and on, [ and ]
(or with Shift) a minute; space stops and goes on; Tab unfolds pods and slices.
Rows and JSON come without waiting, unless --speed is given.
""",
    "epilog": """\
examples:
  memtrace replay FILE                     from the beginning
  memtrace replay FILE --at -3m            the last three minutes
  memtrace replay FILE --at 14:05          from that time of day on
  memtrace replay FILE --json | jq         the same JSON that top --json gave
""",
    "formatter_class": argparse.RawDescriptionHelpFormatter,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `replay` understands."""
    # "-3m" is a value here, as "-3" always is; no option of ours begins with a digit.
    parser._negative_number_matcher = re.compile(r"^-\d")
    parser.add_argument("file", type=Path, metavar="FILE", help="a recording")
    parser.add_argument(
        "--at",
        metavar="WHEN",
        help="where to begin: -3m from the end, 3m from the start, or a time of day like 14:05:10",
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        metavar="N",
        help="so many times as fast as it was (on the screen 1)",
    )
    how = add_view(parser, SORTS)
    how.add_argument("--plain", action="store_true", help="rows of text, also on a terminal")
    how.add_argument("-v", "--verbose", action="store_true", help="say more when it fails")


def run(options: argparse.Namespace) -> int:
    """Show the recording until its end, `q`, Ctrl-C or SIGTERM."""
    from memtrace.store.errors import StoreError
    from memtrace.store.reader import Recording

    if options.json and options.plain:
        raise UsageError("--json and --plain exclude each other; give one of them.")
    try:
        with Recording(options.file) as recording:
            index = beginning(options.file, recording.moments, options.at)
            return _show(options, recording, index)
    except StoreError as error:
        raise CommandError(str(error)) from error


def _show(options: argparse.Namespace, recording: Recording, index: int) -> int:
    from memtrace.model.selection import Selection

    wanted = Selection(options.namespace, options.pod, options.container, options.pid)
    if not (options.json or options.plain) and sys.stdout.isatty():
        from memtrace.commands import screen

        if screen.possible():
            return _on_screen(options, recording, index, wanted)
    return _print(options, recording, index, wanted)


def _print(options: argparse.Namespace, recording: Recording, index: int, wanted: Selection) -> int:
    from memtrace.commands.track import Track

    draw, moments, started = drawer(wanted, options), recording.moments, time.monotonic()
    for number, snapshot in enumerate(Track(recording).from_index(index), start=index):
        if options.speed:
            passed = moments[number].position - moments[index].position
            time.sleep(max(0.0, started + passed / options.speed - time.monotonic()))
        if number == index:
            must_exist(snapshot, wanted)
        print(draw(snapshot))
        sys.stdout.flush()
    return 0


def _on_screen(
    options: argparse.Namespace, recording: Recording, index: int, wanted: Selection
) -> int:
    from memtrace.commands import screen

    screen.load()
    from memtrace.commands.player import Player
    from memtrace.views.screen.replay import ReplayScreen
    from memtrace.views.screen.terminal import Terminal
    from memtrace.views.screen.view import start

    view = start(screen.own_look(), wanted, options.sort, options.rows, 0.0)
    view.busy = "reading"
    player = Player(recording.moments, index, options.speed or 1.0)

    def scenes(wish: Stopping, wishes: Wishes, _busy: Callable[[str], None]) -> Iterator[Scene]:
        for number, scene in enumerate(_played(recording, player, wish, wishes.fd)):
            if not number:
                must_exist(scene.snapshot, wanted)
            yield scene

    return screen.show(scenes, lambda begin, w: ReplayScreen(view, begin, w.press, Terminal))


def _played(recording: Recording, player: Any, wish: Stopping, keys: int) -> Iterator[Scene]:
    """Yield what the player comes to."""
    from memtrace.commands.track import Track
    from memtrace.views.screen.view import Position, Scene

    track, moments = Track(recording), recording.moments
    whole = moments[-1].position - moments[0].position
    before = -1
    history = track.history(player.index)
    while not wish.asked:
        index = player.index
        if index != before + 1 or moments[index].run != moments[before].run:
            history = track.history(index)
        at = Position(moments[index].position - moments[0].position, whole, player.at_end)
        snapshot = track.snapshot(index)
        yield Scene(snapshot, history.add(snapshot), at)
        before = index
        player.wait(wish, keys)


def beginning(path: Path, moments: Sequence[Moment], at: str | None) -> int:
    """Return the index of the moment that `--at` means. Raises CommandError."""
    if not moments:
        raise CommandError(f"{path} holds no sample.")
    if at is None:
        return 0
    first, last = moments[0].position, moments[-1].position
    if ":" in at:
        return _at_clock(moments, _time_of_day(at))
    try:
        back = at.startswith("-")
        seconds = duration(at.lstrip("+-"))
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--at: {error}, with - from the end.") from error
    wanted = last - seconds if back else first + seconds
    later = (n for n, moment in enumerate(moments) if moment.position >= wanted)
    return next(later, len(moments) - 1)


def _at_clock(moments: Sequence[Moment], wanted: str) -> int:
    """Return the last moment at which the clock on the wall came to a time of day, or beyond.

    A recording that began later than that begins at its start.
    """
    clocks = [
        time.strftime("%F %H:%M:%S", time.localtime(moment.time)).split() for moment in moments
    ]
    came = (
        n
        for n in range(len(clocks) - 1, -1, -1)
        if clocks[n][1] >= wanted
        and not (n and clocks[n - 1][0] == clocks[n][0] and clocks[n - 1][1] >= wanted)
    )
    return next(came, len(moments) - 1)


def _time_of_day(text: str) -> str:
    for form in ("%H:%M:%S", "%H:%M"):
        try:
            return time.strftime("%H:%M:%S", time.strptime(text, form))
        except ValueError:
            continue
    raise UsageError(f"--at: '{text}' is no time of day such as 14:05 or 14:05:10.")


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0.001 <= speed <= 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is no speed such as 1, 10 or 0.5")
    return speed
