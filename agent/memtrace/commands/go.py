"""`memtrace go`: what the Go processes of this machine hold and may do, without touching them.

Wires the reader of Go processes, the model and a view. Reads and draws nothing itself.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtrace.commands.common import check_root, duration, live_errors, positive, progress
from memtrace.commands.stopping import stopping
from memtrace.commands.targets import targets

if TYPE_CHECKING:
    from memtrace.model.go_shapes import GoRow
    from memtrace.model.shapes import Snapshot
    from memtrace.samples import Sample

DEFAULT_SECONDS = 2.0

HELP: dict[str, Any] = {
    "description": """\
Show every Go process of this machine, stripped or not: its heap, what its garbage collector
may do, and how that sits beside its container's limits. Read from its memory, from outside:
nothing is stopped, changed or written. Findings about its settings stand below a process.

TARGET is a container, a pod, a systemd unit, the pid of a process, a cgroup's path in the
memory hierarchy or its directory under /sys/fs/cgroup. Without one: all.

  LIVE    found by the last collection, and all since   INUSE   heap with objects in it
  IDLE    heap without objects                           GOAL    collected when it gets there
  MEMLIM  GOMEMLIMIT as it is now                        LIMIT   memory limit of its container
  GOGC    as it is now                                   PROCS   GOMAXPROCS as it is now
  CPUS    CPU quota of its container                     ALLOC/S bytes allocated a second
  GCS     collections while it was watched               GC CPU  what they took of PROCS
""",
    "epilog": """\
examples:
  sudo memtrace go                     all Go processes, the largest heap first
  sudo memtrace go registry-mirror     those of one container
  sudo memtrace go --for 30s           with half a minute to count collections in
  sudo memtrace go --json | jq         one JSON object per process; schema: docs/go.schema.json
""",
    "formatter_class": argparse.RawDescriptionHelpFormatter,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `go` understands."""
    parser.add_argument(
        "target", nargs="?", metavar="TARGET", help="container, pod, unit, pid or cgroup (all)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("-r", "--rows", type=positive, help="at most ROWS processes (all)")
    parser.add_argument(
        "--for",
        dest="seconds",
        type=duration,
        default=DEFAULT_SECONDS,
        metavar="TIME",
        help="how long to watch, e.g. 2s (default), 30s, 5m",
    )
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="where the host's / is mounted"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say more when it fails")


def run(options: argparse.Namespace) -> int:
    """Look, wait, look again, and print."""
    from memtrace.model.modeler import Modeler

    check_root(options.root)
    before, now, mount = _watched(options.root, options.seconds)
    modeler = Modeler()
    modeler.snapshot(before)
    snapshot = modeler.snapshot(now)
    rows = _chosen(snapshot, options, mount)
    sys.stdout.write(_printed(snapshot, rows, options, now.monotonic - before.monotonic))
    sys.stdout.flush()
    return 0


def _watched(root: Path, length: float) -> tuple[Sample, Sample, str]:
    """Return the first and the last sample, and where the hierarchy is mounted."""
    from memtrace.collect.go_sample import GoSamples

    with live_errors(), stopping() as wish, GoSamples(root) as source:
        wish.tell(source)
        before = source.sample()
        if not any(cgroup.go for cgroup in before.cgroups):
            return before, before, str(source.hierarchy.mount)
        with progress(
            lambda left: f"watching Go processes: {left:3.0f} s to go (Ctrl-C: now)"
        ) as tell:
            source.wait(length, tell)
        return before, source.sample(), str(source.hierarchy.mount)


def _chosen(snapshot: Snapshot, options: argparse.Namespace, mount: str) -> list[GoRow]:
    """Return the processes that TARGET means, all without one, the largest heap first."""
    from memtrace.model.go import in_order

    rows = in_order(row for each in snapshot.containers if each.go for row in each.go.own)
    if options.target is None:
        return rows
    if options.target.isdecimal():
        alone = [row for row in rows if row.process.pid == int(options.target)]
        if alone:
            return alone
    homes = {
        each.source.cgroup_id for each in targets(snapshot, options.target, mount, options.root)
    }
    return [row for row in rows if row.cgroup_id in homes]


def _printed(
    snapshot: Snapshot, rows: list[GoRow], options: argparse.Namespace, length: float
) -> str:
    from memtrace.views.go import Page, render_json, render_text

    most = options.rows or len(rows)
    shown, left_out = rows[:most], len(rows[most:])
    if options.json:
        return render_json(snapshot, shown)
    width = shutil.get_terminal_size().columns
    return render_text(snapshot, Page(shown, left_out, length, width))
