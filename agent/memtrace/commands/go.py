"""`memtrace go`: what the Go processes of this machine hold and may do, without touching them.

Wires the reader of Go processes, the model and a view. Reads and draws nothing itself.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtrace.commands.common import (
    add_source,
    add_view,
    cgroup_of,
    check_root,
    duration,
    live_errors,
    progress,
)
from memtrace.commands.stopping import stopping
from memtrace.commands.targets import targets

if TYPE_CHECKING:
    from memtrace.collect.go_sample import GoSamples
    from memtrace.model.go_shapes import GoRow
    from memtrace.model.shapes import Container, Snapshot
    from memtrace.samples import Sample
    from memtrace.views.go import Page

DEFAULT_SECONDS = 2.0
SORTS = ("in-use", "live", "goal", "idle", "allocated", "cycles")

HELP: dict[str, Any] = {
    "description": """\
Show every Go process of this machine, stripped or not: its heap, what its garbage collector
may do, and how that sits beside its container's limits. Read from its memory, from outside:
nothing is stopped or restarted. Findings about its settings stand below a process,
with --heap also the functions that hold most of its heap: "41 MiB  63%  main.load <- main.main".
They are an estimate from the samples Go's runtime keeps for pprof, one in 512 KiB allocated;
a program that has none is shown with the reason.

TARGET is a container, a pod, a systemd unit, the pid of a process, a cgroup's path in the
memory hierarchy or its directory under /sys/fs/cgroup, with all below. Without one: all.

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
  sudo memtrace go --heap 4711         and which functions of process 4711 hold its heap
  sudo memtrace go --json | jq         one JSON object per process; schema: docs/go.schema.json
""",
    "formatter_class": argparse.RawDescriptionHelpFormatter,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `go` understands."""
    parser.add_argument(
        "target", nargs="?", metavar="TARGET", help="container, pod, unit, pid or cgroup (all)"
    )
    how = add_view(parser, SORTS)
    how.add_argument(
        "--heap", action="store_true", help="tell which functions hold the heap of each process"
    )
    how.add_argument(
        "--for",
        dest="seconds",
        type=duration,
        default=DEFAULT_SECONDS,
        metavar="TIME",
        help="how long to watch, e.g. 2s (default), 30s, 5m",
    )
    add_source(how)


def run(options: argparse.Namespace) -> int:
    """Look, wait, look again, and print."""
    from memtrace.collect.go_sample import GoSamples
    from memtrace.model.modeler import Modeler
    from memtrace.views.go import Page

    check_root(options.root)
    modeler = Modeler()
    with live_errors(), stopping() as wish, GoSamples(options.root) as source:
        wish.tell(source)
        before, now = _watched(source, options.seconds)
        modeler.snapshot(before)
        snapshot = modeler.snapshot(now)
        rows = _chosen(snapshot, options, str(source.hierarchy.mount))
        shown, left_out = _shown(source, rows, options)
    width = shutil.get_terminal_size().columns
    page = Page(shown, left_out, now.monotonic - before.monotonic, width)
    sys.stdout.write(_printed(snapshot, page, options.json))
    sys.stdout.flush()
    return 0


def _watched(source: GoSamples, length: float) -> tuple[Sample, Sample]:
    """Return the first and the last sample."""
    before = source.sample()
    if not any(cgroup.go for cgroup in before.cgroups):
        return before, before
    with progress(lambda left: f"watching Go processes: {left:3.0f} s to go (Ctrl-C: now)") as tell:
        source.wait(length, tell)
    return before, source.sample()


def _chosen(snapshot: Snapshot, options: argparse.Namespace, mount: str) -> list[GoRow]:
    """Return the processes that were asked for, in order. Raises TargetNotFoundError."""
    from memtrace.model.go import in_order
    from memtrace.model.selection import Selection, select

    rows = in_order(
        (row for each in snapshot.containers if each.go for row in each.go.own), options.sort
    )
    wanted = Selection(options.namespace, options.pod, options.container)
    rows = _inside(rows, snapshot, select(snapshot.containers, wanted))
    if options.pid is not None:
        return _of_process(rows, snapshot, options.pid, options.root)
    return _of_target(rows, snapshot, options.target, mount, options.root)


def _of_process(rows: list[GoRow], snapshot: Snapshot, pid: int, root: Path) -> list[GoRow]:
    """Return the process itself, also when it is none of Go's: then with what it is."""
    path = cgroup_of(pid, root)  # says so when there is no such process
    alone = [row for row in rows if row.process.pid == pid]
    homes = [each for each in snapshot.containers if each.source.path == path]
    return alone or [_other(pid, home, root) for home in homes]


def _other(pid: int, home: Container, root: Path) -> GoRow:
    """Return a process that is none of Go's, with its limits."""
    from memtrace.host.cpu_quota import CpuQuotas
    from memtrace.host.procfs import cgroup_lines, read_comm, start_ticks
    from memtrace.model.go_shapes import Beside, GoRow
    from memtrace.samples import GoProcess

    state, reason = _kind(pid, root)
    start, comm = start_ticks(root, pid) or 0, read_comm(root, pid)
    quota = CpuQuotas(root).of(cgroup_lines(root, pid))
    process = GoProcess(pid, start, comm, state, f"{state}: {reason}", cpu_quota=quota)
    beside = Beside(home.memory.limit_bytes)
    return GoRow(process, home.source.cgroup_id, beside, remarks=(process.reason,))


def _kind(pid: int, root: Path) -> tuple[str, str]:
    """Return the state of a process that is none of Go's, and why."""
    from memtrace.golang.binary import inspect_path
    from memtrace.golang.refusal import State
    from memtrace.host.procfs import is_kernel_thread

    if is_kernel_thread(root, pid):
        return str(State.NOT_GO), "a thread of the kernel, which runs no program"
    program = inspect_path(root / f"proc/{pid}/exe")
    return str(program.state), program.reason or "not seen yet"


def _of_target(
    rows: list[GoRow], snapshot: Snapshot, target: str | None, mount: str, root: Path
) -> list[GoRow]:
    if target is None:
        return rows
    alone = [row for row in rows if str(row.process.pid) == target]
    if alone:
        return alone
    if target.isdecimal() and (root / "proc" / target).is_dir():
        return _of_process(rows, snapshot, int(target), root)
    return _inside(rows, snapshot, targets(snapshot, target, mount, root))


def _inside(rows: list[GoRow], snapshot: Snapshot, chosen: tuple[Container, ...]) -> list[GoRow]:
    """Return the rows of these containers and of all cgroups below them."""
    from memtrace.model.selection import with_below

    homes = with_below(snapshot.containers, chosen)
    return [row for row in rows if row.cgroup_id in homes]


def _shown(
    source: GoSamples, rows: list[GoRow], options: argparse.Namespace
) -> tuple[list[GoRow], int]:
    """Return what to print, with who holds each heap if that is asked for, and how many are not."""
    from memtrace.model.go import with_heap

    most = options.rows or len(rows)
    shown = rows[:most]
    if options.heap:
        heaps = source.heap_functions(row.process for row in shown)
        shown = [with_heap(row, heaps.get(row.process.pid)) for row in shown]
    return shown, len(rows[most:])


def _printed(snapshot: Snapshot, page: Page, as_json: bool) -> str:
    from memtrace.views.go import render_json, render_text

    return render_json(snapshot, page.rows) if as_json else render_text(snapshot, page)
