"""Go processes as a table or as JSON lines, schema memtrace.go/1 (docs/go.schema.json).

Draws; chooses no processes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from memtrace.model.go_shapes import GoRow
from memtrace.model.selection import display_name
from memtrace.model.shapes import Container, Snapshot
from memtrace.model.units import short_size
from memtrace.samples import GoHeap
from memtrace.views.go_heap import heap_lines
from memtrace.views.go_json import go_row, heap_by_function
from memtrace.views.json import line_of
from memtrace.views.text import columns, cut, cut_middle, pad, printable

SCHEMA = "memtrace.go/1"
DEFAULT_WIDTH = 80
_LEAST_WIDTH = 60
_UNKNOWN = "-"


class Page(NamedTuple):
    """What to draw: rows in order, how many were left out, over how many seconds, columns."""

    rows: Sequence[GoRow]
    left_out: int = 0
    seconds: float | None = None
    width: int = DEFAULT_WIDTH


class _Line(NamedTuple):
    """What the columns draw from."""

    row: GoRow
    home: Container | None
    seconds: float | None


class _Column(NamedTuple):
    """`rank`: the higher, the sooner it goes when the screen is narrow."""

    title: str
    width: int
    rank: int
    text: Callable[[_Line], str]
    right: bool = True


def render_json(snapshot: Snapshot, rows: Sequence[GoRow]) -> str:
    """Return a line for each process."""
    homes = _homes(snapshot)
    return "".join(f"{line_of(_document(snapshot, row, homes))}\n" for row in rows)


def _homes(snapshot: Snapshot) -> dict[int, Container]:
    return {each.source.cgroup_id: each for each in snapshot.containers}


def _document(snapshot: Snapshot, row: GoRow, homes: Mapping[int, Container]) -> dict[str, Any]:
    source = homes[row.cgroup_id].source
    return {
        "schema": SCHEMA,
        "time": snapshot.time,
        "node": snapshot.node,
        "cgroup": source.path,
        "namespace": source.identity.namespace,
        "pod": source.identity.pod,
        "container": source.identity.container,
        "name": source.identity.name,
        **go_row(row),
        **heap_by_function(row),
    }


def render_text(snapshot: Snapshot, page: Page) -> str:
    """Return the table, each process with its settings' remarks and who holds its heap below."""
    if not page.rows:
        return "No Go process was found.\n"
    width = max(page.width, _LEAST_WIDTH)
    kept = _fitting(width)
    homes = _homes(snapshot)
    lines = [_joined(kept, [column.title for column in kept], width)]
    for row in page.rows:
        line = _Line(row, homes.get(row.cgroup_id), page.seconds)
        lines.append(_joined(kept, [column.text(line) for column in kept], width))
        lines += heap_lines(row.heap_functions, width)
        for remark in row.remarks:
            lines += textwrap.wrap(
                printable(remark), width, initial_indent="        ! ", subsequent_indent=" " * 10
            )
    if page.left_out:
        lines.append(f"{page.left_out} more processes: use -r ROWS to see them.")
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _fitting(width: int) -> list[_Column]:
    """Return the columns there is room for, the most important first, in their order."""
    kept: list[_Column] = []
    for column in sorted(_COLUMNS, key=lambda each: each.rank):
        if sum(each.width + 1 for each in kept) + column.width <= width:
            kept.append(column)
    return [column for column in _COLUMNS if column in kept]


def _joined(kept: Sequence[_Column], texts: Sequence[str], width: int) -> str:
    """Fill each column; what is too wide for it is never a number."""
    cells = []
    for column, text in zip(kept, texts, strict=True):
        fit = text.rjust(column.width) if column.right else _left(text, column.width)
        cells.append(fit)
    return cut(" ".join(cells), width)


def _left(text: str, width: int) -> str:
    safe = printable(text)
    return pad(safe if columns(safe) <= width else cut_middle(safe, width), width)


def _amount(name: str) -> Callable[[_Line], str]:
    def text(line: _Line) -> str:
        heap = line.row.process.heap
        return short_size(None if heap is None else getattr(heap, name))

    return text


def _of_heap(text: Callable[[GoHeap], str]) -> Callable[[_Line], str]:
    return lambda line: _UNKNOWN if line.row.process.heap is None else text(line.row.process.heap)


def _gogc(heap: GoHeap) -> str:
    return "off" if heap.gogc < 0 else str(heap.gogc)


def _memory_limit(heap: GoHeap) -> str:
    return "none" if heap.gomemlimit_bytes is None else short_size(heap.gomemlimit_bytes)


def _limit(line: _Line) -> str:
    limit = line.row.beside.limit_bytes
    if limit is not None:
        return short_size(limit)
    known = line.home is not None and line.home.source.memory is not None
    return "none" if known else _UNKNOWN


def _procs(heap: GoHeap) -> str:
    return _UNKNOWN if heap.gomaxprocs is None else str(heap.gomaxprocs)


def _quota(line: _Line) -> str:
    quota = line.row.process.cpu_quota
    return "none" if quota is None else f"{quota:.3g}"


def _cycles(line: _Line) -> str:
    delta = line.row.gc_cycles_delta
    return _UNKNOWN if delta is None else str(delta)


def _share(line: _Line) -> str:
    fraction = line.row.gc_cpu_fraction
    return _UNKNOWN if fraction is None else f"{100 * fraction:.1f}%"


def _rate(line: _Line) -> str:
    delta = line.row.allocated_delta_bytes
    if delta is None or not line.seconds:
        return _UNKNOWN
    return short_size(round(delta / line.seconds))


def _process(line: _Line) -> str:
    main = (line.row.process.main or "").rpartition("/")[2]
    return line.row.process.comm or main or _UNKNOWN


def _container(line: _Line) -> str:
    return _UNKNOWN if line.home is None else display_name(line.home)


_COLUMNS = (
    _Column("PID", 7, 0, lambda line: str(line.row.process.pid)),
    _Column("PROCESS", 15, 1, _process, False),
    _Column("CONTAINER", 24, 12, _container, False),
    _Column("GO", 9, 8, lambda line: line.row.process.version or _UNKNOWN, False),
    _Column("LIVE", 5, 2, _amount("heap_live_bytes")),
    _Column("INUSE", 5, 6, _amount("heap_in_use_bytes")),
    _Column("IDLE", 5, 10, _amount("heap_idle_bytes")),
    _Column("GOAL", 5, 3, _amount("heap_goal_bytes")),
    _Column("MEMLIM", 6, 4, _of_heap(_memory_limit)),
    _Column("LIMIT", 5, 5, _limit),
    _Column("GOGC", 4, 7, _of_heap(_gogc)),
    _Column("PROCS", 5, 9, _of_heap(_procs)),
    _Column("CPUS", 4, 11, _quota),
    _Column("ALLOC/S", 7, 13, _rate),
    _Column("GCS", 5, 14, _cycles),
    _Column("GC CPU", 6, 15, _share),
)
