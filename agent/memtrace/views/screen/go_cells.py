"""The columns of a container's Go processes, and one of them in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from memtrace.model import fields
from memtrace.model.go_shapes import GoRow
from memtrace.model.shapes import Container
from memtrace.model.units import short_size
from memtrace.samples import GoHeap
from memtrace.views.screen import cells
from memtrace.views.screen.listing import Column, Value
from memtrace.views.screen.table import sized

EMPTY = "No Go process runs in it."
_BY_NAME = {field.name: field for field in fields.GO_LIST}
_VERSION_WIDER = ((14, 16),)


def rows(container: Container, _width: int) -> Sequence[GoRow]:
    """Return the processes, those with the largest heap first."""
    return () if container.go is None else container.go.rows


def key(row: GoRow) -> tuple[int, int]:
    """Return which process it is."""
    return row.process.pid, row.process.start


def detail(row: GoRow) -> str:
    """Return what is to be said of its settings, and what it is."""
    process = row.process
    told = "; ".join(row.remarks) or "nothing stands out in its settings"
    return f"{process.main or process.comm or f'pid {process.pid}'}: {told}"


def _heap(name: str) -> Callable[[GoRow], Any]:
    return lambda row: None if row.process.heap is None else getattr(row.process.heap, name)


def _bytes(name: str, rank: float) -> Column[GoRow]:
    return sized(_BY_NAME[name], rank, _heap(name))


def _words(
    name: str, rank: float, text: Callable[[GoRow], str], value: Callable[[GoRow], Value]
) -> Column[GoRow]:
    return Column(_BY_NAME[name], lambda row, room: cells.number(text(row), room), rank, value)


def _of_heap(text: Callable[[GoHeap], str]) -> Callable[[GoRow], str]:
    return lambda row: "-" if row.process.heap is None else text(row.process.heap)


def _gogc(heap: GoHeap) -> str:
    return "off" if heap.gogc < 0 else str(heap.gogc)


def _memory_limit(heap: GoHeap) -> str:
    return "none" if heap.gomemlimit_bytes is None else short_size(heap.gomemlimit_bytes)


def _procs(heap: GoHeap) -> str:
    return "-" if heap.gomaxprocs is None else str(heap.gomaxprocs)


def _cycles(row: GoRow) -> str:
    return "-" if row.gc_cycles_delta is None else str(row.gc_cycles_delta)


def _share(row: GoRow) -> str:
    return "-" if row.gc_cpu_fraction is None else f"{100 * row.gc_cpu_fraction:.1f}"


def _text(name: str, rank: float, text: Callable[[GoRow], str]) -> Column[GoRow]:
    wider = _VERSION_WIDER if name == "version" else ()
    return Column(
        _BY_NAME[name], lambda row, room: cells.left(text(row), room), rank, text, False, wider
    )


COLUMNS: tuple[Column[GoRow], ...] = (
    _bytes("heap_in_use_bytes", 1),
    _bytes("heap_live_bytes", 2),
    _bytes("heap_goal_bytes", 3),
    _bytes("heap_idle_bytes", 10),
    _words("gomemlimit_bytes", 4, _of_heap(_memory_limit), _heap("gomemlimit_bytes")),
    _words("gogc", 5, _of_heap(_gogc), _heap("gogc")),
    _words("gomaxprocs", 6, _of_heap(_procs), _heap("gomaxprocs")),
    sized(_BY_NAME["allocated_delta_bytes"], 7, lambda row: row.allocated_delta_bytes),
    _words("gc_cycles_delta", 8, _cycles, lambda row: row.gc_cycles_delta),
    _words("gc_cpu_fraction", 9, _share, lambda row: row.gc_cpu_fraction),
    _words("pid", 5.5, lambda row: str(row.process.pid), lambda row: row.process.pid),
    _text("comm", 0, lambda row: row.process.comm or "-"),
    _text("version", 9.5, lambda row: row.process.version or "-"),
)
