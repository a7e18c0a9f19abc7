"""`memtrace slab`: a census of kernel memory, by container and slab cache. Attaches nothing.

Wires the census, the model and a view. Counts and draws nothing itself.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtrace.commands.common import check_root, live_errors, positive, progress
from memtrace.commands.targets import targets

if TYPE_CHECKING:
    from memtrace.model.shapes import Container, Snapshot
    from memtrace.samples import Sample

DEFAULT_CONTAINERS = 10
DEFAULT_CACHES = 20
_CACHES_OF_MANY = 5

HELP: dict[str, Any] = {
    "description": """\
Count every object of the kernel's slab caches (names of files, inodes, sockets, ...) and say
which container pays for it, compared with the kernel's own figure. Takes a fraction of a
second on a small machine and a few seconds on one with much memory; nothing stays attached.

TARGET is a container, a pod, a systemd unit, the pid of a process, a cgroup's path in the
memory hierarchy or its directory under /sys/fs/cgroup. Without one: the containers that
hold most, and what no container pays for.

  BYTES    as the kernel charges them       OBJECTS  in use
  CACHE    the kernel's name for it         FREED    yes: under memory pressure
""",
    "epilog": """\
examples:
  sudo memtrace slab                    who holds most kernel memory, and in what
  sudo memtrace slab postgres -r 50     up to 50 caches of one container
  sudo memtrace slab 4711               the container of process 4711
  sudo memtrace slab --json | jq        one JSON object per line: every cgroup, every cache
""",
    "formatter_class": argparse.RawDescriptionHelpFormatter,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `slab` understands."""
    parser.add_argument(
        "target", nargs="?", metavar="TARGET", help="container, pod, unit, pid or cgroup (all)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument(
        "-r",
        "--rows",
        type=positive,
        help=f"caches of TARGET ({DEFAULT_CACHES}), containers without ({DEFAULT_CONTAINERS}); "
        "with --json caches of each (all)",
    )
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="where the host's / is mounted"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say more when it fails")


def run(options: argparse.Namespace) -> int:
    """Take the census and print it."""
    from memtrace.model.modeler import Modeler

    check_root(options.root)
    sample, mount = _census(options.root)
    snapshot = Modeler().snapshot(sample)
    chosen = None
    if options.target is not None:
        chosen = targets(snapshot, options.target, mount, options.root)
    sys.stdout.write(_json(snapshot, chosen, options) or _text(snapshot, chosen, options))
    sys.stdout.flush()
    return 0


def _census(root: Path) -> tuple[Sample, str]:
    from memtrace.collect.slab_sample import slab_sample

    with (
        live_errors(),
        progress(lambda done: f"counting kernel objects: {done:.0%} of memory") as tell,
    ):
        sample, hierarchy = slab_sample(root, tell)
    return sample, str(hierarchy.mount)


def _json(
    snapshot: Snapshot, chosen: tuple[Container, ...] | None, options: argparse.Namespace
) -> str:
    from memtrace.views.slab import render_json

    if not options.json:
        return ""
    return render_json(snapshot, snapshot.containers if chosen is None else chosen, options.rows)


def _text(
    snapshot: Snapshot, chosen: tuple[Container, ...] | None, options: argparse.Namespace
) -> str:
    from memtrace.model.selection import rows_of
    from memtrace.views.slab import Page, render_text

    width = shutil.get_terminal_size().columns
    if chosen is not None:
        caches = options.rows or DEFAULT_CACHES
        return render_text(snapshot, Page(chosen, 0, caches, False, width))
    most = options.rows or DEFAULT_CONTAINERS
    rows = [row for row in rows_of(snapshot.containers) if row.slab is not None and row.slab.rows]
    rows.sort(key=_amount, reverse=True)
    page = Page(rows[:most], max(0, len(rows) - most), _CACHES_OF_MANY, True, width)
    return render_text(snapshot, page)


def _amount(container: Container) -> int:
    return 0 if container.slab is None else container.slab.bytes
