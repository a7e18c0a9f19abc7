"""`memtrace oom`: kills for want of memory, explained: list them, show one, watch for more.

Listing and showing read the directory of records and need no privilege; watching is
oom_watch.py's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memtrace.commands.common import (
    ENGINES,
    CommandError,
    TargetNotFoundError,
    UnprivilegedError,
    UsageError,
    add_state_dir,
    complain,
    positive,
)

OOM_DIR = Path("/var/log/memtrace/oom")
LAST = "last"

HELP: dict[str, Any] = {
    "description": """\
Explain every kill for want of memory: who was killed, whose limit was reached, what the memory
consisted of, what happened in the minute before, and what to change.

  list    the records of this machine, one line each, newest last
  show    one record as a report: verdict, composition, time line, causes, advice, gaps
  watch   attach to the kernel and record kills as they happen, until Ctrl-C

Recorded are kills by the kernel (a container's own limit, a pod's, the whole machine's), through
cgroup.kill, and by systemd-oomd and its like. A plain kill -9 is none of them. Kills while nobody
watched are told by the kernel's counters at the next start, as seen late.
""",
    "epilog": """\
examples:
  sudo memtrace oom watch                    report kills as they happen, and keep them
  memtrace oom list -n shop                  those of one namespace
  memtrace oom show last                     explain the latest one
  memtrace oom show 20260301T101500.123Z-42 --json | jq .composition

The memtrace agent records kills, too: list and show read what it wrote.
exit codes: 0 ok, 1 failure, 2 wrong usage, 3 missing privilege or kernel feature,
4 no such record.
""",
    "formatter_class": argparse.RawDescriptionHelpFormatter,
}

_WATCH = """\
Attach to the kernel and record every kill for want of memory as it happens: a report on standard
output (with --json one JSON object per line), and one JSON and one text file in --oom-dir. What
is recorded of the minute before begins with this command. Ctrl-C ends it and exits with 0.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of `oom` and what each understands."""
    words = parser.add_subparsers(dest="word", metavar="WORD", title="words", required=True)
    listing = words.add_parser("list", help="the records, one line each, newest last")
    _add_filters(listing)
    listing.add_argument("-r", "--rows", type=positive, help="only the newest ROWS")
    _add_output(listing)
    show = words.add_parser("show", help="one record as a report")
    show.add_argument("id", metavar="ID", help=f"as `memtrace oom list` tells it, or '{LAST}'")
    _add_output(show)
    watch = words.add_parser(
        "watch", help="record kills as they happen, until Ctrl-C (root)", description=_WATCH
    )
    _add_filters(watch)
    _add_output(watch)
    add_state_dir(watch)
    watch.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="where the host's / is mounted"
    )
    watch.add_argument(
        "--engine", choices=ENGINES, default=ENGINES[0], help="what loads the probes (%(default)s)"
    )
    watch.add_argument(
        "--no-baseline", action="store_true", help="do not look at what is cached already"
    )


def run(options: argparse.Namespace) -> int:
    """Do one of the words."""
    if options.word == "list":
        return _list(options)
    if options.word == "show":
        return _show(options)
    from memtrace.commands import oom_watch

    return oom_watch.run(options)


def wanted(document: dict[str, Any], options: argparse.Namespace) -> bool:
    """Tell whether a record is of the namespace, pod and container asked for."""
    places = [*_dicts(document.get("victims")), *_dicts([document.get("oom_cgroup")])]
    asked = (
        (options.namespace, ("namespace",)),
        (options.pod, ("pod",)),
        (options.container, ("container", "name", "cgroup", "path")),
    )
    return all(
        value is None or any(place.get(key) == value for place in places for key in keys)
        for value, keys in asked
    )


def _add_filters(parser: argparse.ArgumentParser) -> None:
    who = parser.add_argument_group("which kills")
    who.add_argument("-n", "--namespace", help="only in this Kubernetes namespace")
    who.add_argument("--pod", help="only in this pod")
    who.add_argument("-c", "--container", help="only in this container, unit or cgroup path")


def _add_output(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how")
    how.add_argument("--json", action="store_true", help="one JSON object per line")
    how.add_argument(
        "--oom-dir",
        type=Path,
        default=OOM_DIR,
        metavar="DIR",
        help="where the records are (%(default)s)",
    )
    how.add_argument("-v", "--verbose", action="store_true", help="say more when it fails")


def _list(options: argparse.Namespace) -> int:
    from memtrace.store.postmortems import ids
    from memtrace.views import oom_json, postmortem

    _must_be_readable(options.oom_dir)
    chosen = [each for each in documents(options.oom_dir) if wanted(each, options)]
    for document in chosen[-options.rows :] if options.rows else chosen:
        print(oom_json.line(document) if options.json else postmortem.summary(document))
    if not chosen and not options.json:
        some = "no record matches" if ids(options.oom_dir) else "no kill is recorded"
        print(f"memtrace: {some} in {options.oom_dir}", file=sys.stderr)
    return 0


def _show(options: argparse.Namespace) -> int:
    from memtrace.views import oom_json, postmortem

    document = record(options.oom_dir, options.id)
    if options.json:
        print(oom_json.line(document))
    else:
        print(postmortem.render(document, max(60, min(shutil.get_terminal_size().columns, 100))))
    return 0


def record(directory: Path, record_id: str) -> dict[str, Any]:
    """Return one record, LAST being the latest. Raises CommandError."""
    from memtrace.store.postmortems import ids

    _must_be_readable(directory)
    known = ids(directory)
    wanted_id = known[-1] if record_id == LAST and known else record_id
    if wanted_id not in known:
        raise TargetNotFoundError(
            f"there is no record '{record_id}' in {directory}; 'memtrace oom list' tells "
            "which there are."
        )
    document = _document(directory, wanted_id)
    if document is None:
        raise CommandError(f"record {wanted_id} in {directory} is damaged; remove it.")
    return document


def documents(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield every record that can be read, oldest first; complain of the others."""
    from memtrace.store.postmortems import ids

    for record_id in ids(directory):
        try:
            document = _document(directory, record_id)
        except CommandError as error:
            complain(str(error), 0)
            continue
        if document is not None:
            yield document


def _document(directory: Path, record_id: str) -> dict[str, Any] | None:
    """Return one record; None when it is damaged. Raises when another memtrace made it."""
    from memtrace.store.postmortems import read
    from memtrace.views.oom_json import SCHEMA

    try:
        document = json.loads(read(directory, record_id) or b"")
        schema = str(document["schema"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if schema != SCHEMA:
        raise CommandError(
            f"record {record_id} has schema {schema}, this memtrace reads {SCHEMA} only."
        )
    return document if isinstance(document, dict) else None


def _must_be_readable(directory: Path) -> None:
    try:
        next(directory.iterdir(), None)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise UsageError(f"--oom-dir {directory} is no directory.") from None
    except PermissionError:
        raise UnprivilegedError(f"{directory} cannot be read by this user; use sudo.") from None


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [each for each in values or () if isinstance(each, dict)]
