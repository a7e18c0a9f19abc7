"""`memtrace record`: writes what top would show into a file, to be looked at with replay.

Wires the live source and the writer of recordings.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtrace.commands.common import (
    CommandError,
    add_source,
    add_state_dir,
    check_root,
    duration,
    interval,
)
from memtrace.commands.stopping import Stopping, stopping
from memtrace.commands.top import (
    DEFAULT_INTERVAL,
    Opener,
    baseline_progress,
    collect_seldom,
    opened,
    samples,
)
from memtrace.commands.watch import add_watch

if TYPE_CHECKING:
    from memtrace.store.writer import Writer

HELP: dict[str, Any] = {
    "description": """\
Record what memtrace sees into FILE, once at the start and then every INTERVAL seconds,
until Ctrl-C or for the time given. memtrace replay shows it anywhere, without root.
A recording keeps the last 24 hours and at most 256 MB: the oldest is dropped.
It holds names of containers, processes and files: only its owner may read it.
""",
    "epilog": """\
examples:
  sudo memtrace record today.mtr             every 2 s until Ctrl-C
  sudo memtrace record --for 10m peak.mtr 1  ten minutes, a second apart
  memtrace replay today.mtr                  look at it
""",
    "formatter_class": argparse.RawDescriptionHelpFormatter,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `record` understands."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a file that does not exist yet")
    parser.add_argument(
        "interval",
        nargs="?",
        type=interval,
        default=DEFAULT_INTERVAL,
        metavar="INTERVAL",
        help="seconds between samples (%(default)g)",
    )
    parser.add_argument(
        "--for", dest="length", type=duration, metavar="TIME", help="end after e.g. 90s, 10m, 1h"
    )
    add_source(parser)
    add_state_dir(parser)
    add_watch(parser)
    parser.add_argument(
        "--no-baseline", action="store_true", help="do not look at what is cached already"
    )


def run(options: argparse.Namespace, opener: Opener | None = None) -> int:
    """Record until the time is over, Ctrl-C or SIGTERM. `opener`: as for top."""
    from memtrace.store.database import refuse_existing
    from memtrace.store.errors import StoreError

    check_root(options.root)
    try:
        refuse_existing(options.file)
        with stopping() as wish, opened(options, opener) as live:
            wish.tell(live)
            live.on_progress = baseline_progress(wish)
            live.on_census = lambda _: wish.raise_if_asked()
            if options.watch:
                live.watch(options.watch, None)
            with _writer(options) as writer, _told(writer, options.file):
                for sample in samples(live, options.interval, wish, None):
                    writer.append(sample)
                    _after(writer, options, wish)
    except StoreError as error:
        raise CommandError(str(error)) from error
    return 0


@contextmanager
def _writer(options: argparse.Namespace) -> Iterator[Writer]:
    from memtrace.host.procfs import boot_id
    from memtrace.store.database import remove
    from memtrace.store.writer import Writer

    writer = Writer(options.file, boot_id(options.root) or "")
    try:
        yield writer
    finally:
        empty = not writer.written.samples
        writer.close()
        if empty:
            remove(options.file)


@contextmanager
def _told(writer: Writer, path: Path) -> Iterator[None]:
    """Say at the end what was written, also when it ended with an error."""
    try:
        yield
    finally:
        _tell("")
        if writer.written.samples and path.exists():
            print(f"{path}: {_amount(writer)}; look at it with: memtrace replay {path}", flush=True)


def _after(writer: Writer, options: argparse.Namespace, wish: Stopping) -> None:
    """Say how far it is; after the first sample settle down, after the last one end."""
    written = writer.written
    if written.samples == 1:
        collect_seldom()
    if options.length is not None and written.seconds > options.length - options.interval / 2:
        wish.asked = True
    _tell(f"recording: {_amount(writer)}; Ctrl-C ends it")


def _amount(writer: Writer) -> str:
    from memtrace.model.units import clock, size

    written = writer.written
    return f"{written.samples} samples of {clock(written.seconds)}, {size(written.size)}"


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()
