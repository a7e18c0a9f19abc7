"""`memtrace report`: a recording, or a recorded kill, as one HTML file for a ticket.

Wires the readers, the report of the model and the pages; needs no privilege beyond reading.
"""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtrace import __version__
from memtrace.commands.common import (
    CommandError,
    TargetNotFoundError,
    UsageError,
    add_who,
    check_root,
    duration,
    progress,
)
from memtrace.commands.oom import LAST, OOM_DIR, documents, record
from memtrace.commands.targets import recorded_targets

if TYPE_CHECKING:
    from memtrace.commands.window import Window
    from memtrace.model.report.overview import Overview
    from memtrace.model.report.shapes import Report
    from memtrace.model.selection import Selection
    from memtrace.model.shapes import Container, Snapshot
    from memtrace.store.reader import Recording

MOST_DETAILS = 12
OBSERVED = 120
"""Samples that a verdict is made of: those before the container was last there."""
_RECORD_ID = re.compile(r"\d{8}T\d{6}\.\d{3}Z-\d{1,10}")

HELP: dict[str, Any] = {
    "description": """\
Make one HTML file of a recording, or of a recorded OOM kill: what the memory was over time,
what drove it, Go's heap against its limits, what happened, the verdict with its evidence and
advice, and what is not known. It needs neither network nor scripts, fits phones and paper, and
every name in it is escaped.

Of a recording it lists all containers, and shows in full those that need attention or rose
most; give TARGET, -n, --pod or -c to choose. Kills that are recorded in --oom-dir for the same
node and time are drawn in.
""",
    "epilog": """\
examples:
  memtrace report peak.mtr -o peak.html             all of it
  memtrace report peak.mtr web-1 -o web.html        one container
  memtrace report /var/lib/memtrace/history.mtr --at -1h -o hour.html
  memtrace report last -o kill.html                 the latest OOM kill
  memtrace report 20260301T101500.123Z-42 -o - | gzip > kill.html.gz
""",
    "formatter_class": argparse.RawDescriptionHelpFormatter,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `report` understands."""
    # "-3m" is a value here, as in replay.
    parser._negative_number_matcher = re.compile(r"^-\d")
    parser.add_argument(
        "source",
        metavar="RECORDING|OOM-ID",
        help=f"a recording, a kill as `memtrace oom list` tells it, or '{LAST}' for the latest",
    )
    parser.add_argument(
        "target", nargs="?", metavar="TARGET", help="a container, pod or cgroup path"
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="what to write; an older report is replaced, - is standard output",
    )
    add_who(parser)
    parser.add_argument(
        "--at", metavar="WHEN", help="begin there: -3m from the end, 3m, or 14:05 (local time)"
    )
    parser.add_argument(
        "--for", dest="length", type=duration, metavar="LENGTH", help="and end so much later"
    )
    parser.add_argument(
        "--oom-dir", type=Path, metavar="DIR", help=f"where recorded kills are ({OOM_DIR})"
    )
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="where the host's / is mounted"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say more when it fails")


def run(options: argparse.Namespace) -> int:
    """Write the report."""
    from memtrace.commands.writing import check, write

    check_root(options.root)
    directory = options.oom_dir or options.root / OOM_DIR.relative_to("/")
    check(options.output)
    if options.source == LAST or _RECORD_ID.fullmatch(options.source):
        made = _of_kill(options, directory)
    else:
        made = _of_recording(options, directory)
    write(options.output, made)
    return 0


def _of_kill(options: argparse.Namespace, directory: Path) -> str:
    from memtrace.views.html.postmortem import render

    asked = (options.target, options.namespace, options.pod, options.container, options.pid)
    if any(each is not None for each in (*asked, options.at, options.length)):
        raise UsageError("a recorded kill has one container and one time; leave out the rest.")
    return render(record(directory, options.source), __version__)


def _of_recording(options: argparse.Namespace, directory: Path) -> str:
    from memtrace.store.errors import StoreError
    from memtrace.store.reader import Recording
    from memtrace.views.html.recording import render

    if not os.path.lexists(options.source):
        raise TargetNotFoundError(
            f"{options.source} is neither a recording nor a recorded kill; "
            "'memtrace oom list' lists those, 'memtrace record FILE' makes one."
        )
    try:
        with Recording(Path(options.source)) as recording:
            return render(_report(options, recording, directory), __version__)
    except StoreError as error:
        raise CommandError(str(error)) from error


def _report(options: argparse.Namespace, recording: Recording, directory: Path) -> Report:
    from memtrace.commands.track import Track
    from memtrace.model.report.compose import compose
    from memtrace.model.report.detail import Close
    from memtrace.model.report.kills import events
    from memtrace.model.report.overview import Overview

    window = _window(options, recording)
    track, overview = Track(recording), Overview(window.count)
    with progress(lambda share: f"reading {options.source}: {share:.0%}") as tell:
        for each in window.through(track, tell, 0.0):
            overview.add(each.snapshot, each.seconds, each.new_run)
        node = overview.everything().node
        kills = events(documents(directory), node, window.begin, window.seconds)
        shown = _chosen(options, overview, {kill.cgroup_id for kill in kills})
        close = [Close(container, window.count) for container in shown]
        for each in window.through(track, tell, 0.5):
            for one in close:
                one.add(each.snapshot, each.number, each.seconds)
    for one in close:
        number = one.telling_number
        one.judge(window.samples(recording, number, OBSERVED), window.at(number))
    last = overview.everything()
    unread = _unreadable(directory)
    return compose(last, window.begin, window.seconds, overview, close, kills, window.gaps, unread)


def _unreadable(directory: Path) -> tuple[str, ...]:
    """Say that kills may be missing."""
    if os.access(directory, os.R_OK | os.X_OK) or not os.path.lexists(directory):
        return ()
    return (f"recorded kills in {directory} cannot be read by this user",)


def _window(options: argparse.Namespace, recording: Recording) -> Window:
    from memtrace.commands.replay import beginning
    from memtrace.commands.window import Window

    moments = recording.moments
    first = beginning(Path(options.source), moments, options.at)
    end = moments[first].position + (options.length or math.inf)
    last = max(n for n, moment in enumerate(moments) if n == first or moment.position <= end)
    return Window(moments, first, last)


def _chosen(
    options: argparse.Namespace, overview: Overview, killed: Collection[int | None]
) -> tuple[Container, ...]:
    """Return whom to show in full. Raises TargetNotFoundError."""
    from memtrace.model.report.overview import chosen
    from memtrace.model.selection import Selection, rows_of, select

    wanted = Selection(options.namespace, options.pod, options.container, options.pid)
    lines, everything = overview.lines(), overview.everything()
    if not wanted and options.target is None:
        return chosen(lines, killed)
    found = everything.containers
    if options.target is not None:
        found = recorded_targets(everything, options.target)
    found = select(found, wanted)
    if not found:
        raise TargetNotFoundError(_nothing_like(options.source, everything, wanted))
    rise = {line.container.source.cgroup_id: line.rise for line in lines}
    rows = sorted(rows_of(found), key=lambda each: -rise.get(each.source.cgroup_id, 0))
    return tuple(rows[:MOST_DETAILS])


def _nothing_like(source: str, everything: Snapshot, wanted: Selection) -> str:
    from memtrace.model.selection import close_names

    close = close_names(everything.containers, wanted)
    hint = f"did you mean {' or '.join(close)}?" if close else "'memtrace replay' shows what is."
    asked = wanted.container or wanted.pod or wanted.namespace or wanted.pid
    return f"{source} has nothing that matches '{asked}'; {hint}"
