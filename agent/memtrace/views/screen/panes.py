"""What is inside a container: one list for each question. Draws cells; orders nothing.

A list shows a column as soon as the rows of the model carry its figure.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from memtrace.model import fields, use_words, words
from memtrace.model.caches import meaning
from memtrace.model.remarks import rough_time
from memtrace.model.shapes import Container, Driver, File, Process
from memtrace.model.slab_words import unseen
from memtrace.model.units import percent, short_size
from memtrace.samples import KINDS, REASONS, Census, SlabRow
from memtrace.views.screen import cells, go_cells
from memtrace.views.screen.composition import COMPOSITION, parts
from memtrace.views.screen.explanation import explanation
from memtrace.views.screen.listing import FILL, Column
from memtrace.views.screen.table import sized

_UNIMPORTANT = 10
_PATH = ((_UNIMPORTANT - 1, 44), *FILL)


@dataclass(frozen=True, slots=True)
class Pane:
    """One list. `rows` gets the container and the width of the screen.

    `keeps_rest`: what is said of the rest has a line of its own below the list.
    """

    title: str
    columns: tuple[Column[Any], ...]
    rows: Callable[[Container, int], Sequence[Any]]
    key: Callable[[Any], Hashable]
    sort: str = ""
    empty: str = ""
    detail: Callable[[Any], str] = str
    keeps_rest: bool = False


def attribute(row: Any, name: str) -> Any:
    """Return a figure of the model's row or else of the sample's row in it; None without one."""
    own = getattr(row, name, None)
    return getattr(row.row, name, None) if own is None else own


def _carried(shape: type[Any], name: str) -> bool:
    """Tell whether rows of this shape have such a figure."""
    return name in shape._fields or name in dir(_sample_row(shape))


def _sample_row(shape: type[Any]) -> type[Any]:
    from memtrace import samples

    row: type[Any] = getattr(samples, f"{shape.__name__}Row")
    return row


def _columns(
    shape: type[Any], table: Sequence[fields.Field], special: dict[str, Column[Any]]
) -> tuple[Column[Any], ...]:
    """Return a column for each field that rows of this shape carry, the first kept longest."""
    columns = []
    for rank, field in enumerate(table):
        if field.name in special:
            columns.append(special[field.name])
        elif _carried(shape, field.name):
            columns.append(_column(field, rank + 2))
    return tuple(columns)


def _column(field: fields.Field, rank: int) -> Column[Any]:
    if field.unit == "bytes":
        return sized(field, rank, lambda row: attribute(row, field.name))
    return Column(
        field,
        lambda row, room: cells.number(_amount(attribute(row, field.name), field), room),
        rank,
        lambda row: attribute(row, field.name),
    )


def _amount(value: float | None, field: fields.Field) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}s" if field.unit == "seconds" else str(value)


def _text(
    field: fields.Field,
    rank: int,
    text: Callable[[Any], str],
    fit: Callable[[str, int], str] = cells.left,
    wider: tuple[tuple[float, int], ...] = (),
) -> Column[Any]:
    return Column(field, lambda row, room: fit(text(row), room), rank, text, False, wider)


def _pid() -> Column[Any]:
    return Column(
        fields.PID,
        lambda row, room: cells.number(str(row.row.tgid), room),
        5,
        lambda row: row.row.tgid,
    )


def _comm(rank: int, wider: tuple[tuple[float, int], ...] = ()) -> Column[Any]:
    return _text(fields.COMM, rank, lambda row: row.row.comm or "-", wider=wider)


def _path() -> Column[Any]:
    return _text(fields.PATH, 1, lambda row: words.target(row.row) or "-", cells.path, _PATH)


def _special(row: File) -> str:
    """Say what is special about a file itself."""
    if row.row.deleted:
        return "deleted"
    if row.row.shmem:
        return "shared memory"
    return "metadata" if row.row.metadata else ""


def _remark(row: File) -> str:
    """Say what is special about a file, and who else uses it."""
    return ", ".join(part for part in (_special(row), use_words.who(row)) if part)


def _remark_within(row: File, room: int) -> str:
    """Say it in as much room as there is, most of all who else uses the file."""
    full = _remark(row)
    if full and len(full) <= room:
        return cells.left(full, room)
    return cells.left(use_words.briefly(row) or _special(row), room)


def _refaulted(row: File) -> int | None:
    return None if row.row.uses is None else row.row.uses.refaulted_bytes


def _file(row: File) -> str:
    """Return the whole path, and where it is on the host."""
    beside = [text] if (text := use_words.in_words(row)) else []
    if row.row.container_path and row.row.path:
        beside.append(f"on the host {row.row.path}")
    if row.row.file is not None:
        device = words.device_name(row.row.file.device)
        beside.append(f"inode {row.row.file.inode} on {device}")
    beside.append(f"paid by {row.charged_to}")
    return f"{words.target(row.row)} ({', '.join(beside)})"


def _kind(row: Driver) -> str:
    return words.VERBS.get(row.row.kind, row.row.kind)


def _cause(row: Driver) -> str:
    """Say who did what, and from which code."""
    code = row.row.function
    return f"{words.cause(row)} (from {code})" if code else words.cause(row)


_DRIVERS = {
    "path": _path(),
    "comm": _comm(3),
    "pid": _pid(),
    "kind": _text(fields.KIND, 2, _kind),
    "syscall": _text(fields.DRIVER_LIST[5], _UNIMPORTANT, lambda row: row.row.syscall or "-"),
    "function": _text(fields.DRIVER_LIST[6], _UNIMPORTANT + 1, lambda row: row.row.function or "-"),
}
_FILES = {
    "path": _path(),
    "refaulted_bytes": sized(fields.FILE_LIST[4], _UNIMPORTANT - 0.7, _refaulted),
    "remark": Column(fields.REMARK, _remark_within, 4, _remark, False, ((_UNIMPORTANT - 0.5, 44),)),
    "charged_to": _text(fields.CHARGED_TO, _UNIMPORTANT, lambda row: row.charged_to, cells.path),
}
_PROCESSES = {"pid": _pid(), "comm": _comm(1, FILL)}


@dataclass(frozen=True, slots=True)
class Flow:
    """What was added one way, or removed for one reason."""

    what: str
    bytes: int
    change: int | None
    share: str


def flows(container: Container, _width: int) -> list[Flow]:
    """Return how the cache was filled and emptied, the largest amounts first."""
    added, removed = sum(container.added), sum(container.removed)
    ways = [
        Flow(f"added by {words.VERBS[kind]}", amount, change, percent(amount, added))
        for kind, amount, change in zip(KINDS, container.added, container.added_deltas, strict=True)
        if amount
    ]
    reasons = [
        Flow(f"removed: {words.REASONS[reason]}", amount, None, percent(amount, removed))
        for reason, amount in zip(REASONS, container.removed, strict=True)
        if amount
    ]
    return ways + reasons


_FLOWS: tuple[Column[Any], ...] = (
    _text(fields.WHAT, 0, lambda row: row.what, wider=((9, 40),)),
    sized(fields.TOTAL, 1, lambda row: row.bytes),
    sized(fields.LATEST, 2, lambda row: row.change),
    Column(fields.SHARE, lambda row, room: cells.number(row.share, room), 3),
)


def _culprit(row: SlabRow) -> str:
    """Say who had most of the objects allocated, and in which system call."""
    if not row.culprits:
        return "before observation" if unseen(row) else "-"
    first = row.culprits[0]
    return " ".join(filter(None, (first.comm or f"pid {first.tgid}", first.syscall)))


def _cache(row: SlabRow) -> str:
    """Return in full what a row had to cut."""
    freed = "freed under memory pressure" if row.reclaimable else "not freed under memory pressure"
    by = f"; allocated by {_culprit(row)}" if row.culprits else ""
    if unseen(row):
        by = "; no culprit: before observation"
    return f"{row.cache}: {meaning(row.cache) or 'meaning unknown'}; {freed}{by}"


_BYTES, _OBJECTS, _CACHE, _FREED, _CULPRITS = fields.SLAB_LIST
_CACHES: tuple[Column[Any], ...] = (
    sized(_BYTES, 1, lambda row: row.bytes),
    Column(
        _OBJECTS, lambda row, room: cells.number(str(row.objects), room), 2, lambda row: row.objects
    ),
    _text(_CACHE, 0, lambda row: row.cache),
    _text(_FREED, _UNIMPORTANT, lambda row: "yes" if row.reclaimable else "no"),
    _text(_CULPRITS, 4, _culprit),
    _text(fields.MEANING, 3, lambda row: meaning(row.cache), wider=((5, 32), *FILL)),
)


def _lines(container: Container, width: int) -> list[tuple[int, str]]:
    return list(enumerate(explanation(container, width)))


PANES: tuple[Pane, ...] = (
    Pane(
        "Causes",
        _columns(Driver, fields.DRIVER_LIST, _DRIVERS),
        lambda container, _: container.rows.drivers,
        lambda row: (row.row.file, row.row.tgid, row.row.kind, row.row.syscall, row.row.path),
        "added_bytes",
        "Nothing was put into its cache since memtrace watches.",
        _cause,
    ),
    Pane(
        "Files",
        _columns(File, fields.FILE_LIST, _FILES),
        lambda container, _: container.rows.files,
        lambda row: row.row.file or row.row.path,
        "resident_bytes",
        "No file of it is known to be cached.",
        _file,
    ),
    Pane(
        "Processes",
        _columns(Process, fields.PROCESS_LIST, _PROCESSES),
        lambda container, _: container.rows.processes,
        lambda row: (row.row.tgid, row.row.start),
        "added_bytes",
        "No process put anything into its cache since memtrace watches.",
        lambda row: f"pid {row.row.tgid}, {row.row.comm or 'name unknown'}",
    ),
    Pane("I/O", _FLOWS, flows, lambda row: row.what, "bytes", detail=lambda row: row.what),
    Pane(
        "Memory",
        COMPOSITION,
        lambda container, _: parts(container),
        lambda row: row.field.name,
        detail=lambda row: row.meaning,
    ),
    Pane(
        "Slab",
        _CACHES,
        lambda container, _: container.slab.rows if container.slab is not None else (),
        lambda row: (row.cache, row.reclaimable),
        "bytes",
        detail=_cache,
        keeps_rest=True,
    ),
    Pane(
        "Go",
        go_cells.COLUMNS,
        go_cells.rows,
        go_cells.key,
        "heap_in_use_bytes",
        go_cells.EMPTY,
        go_cells.detail,
    ),
    Pane(
        "Verdict",
        (_text(fields.TEXT, 0, lambda row: row[1], wider=FILL),),
        _lines,
        lambda row: row[0],
        detail=lambda _: "",
    ),
)


SLAB = next(number for number, pane in enumerate(PANES) if pane.title == "Slab")
"""The list whose rows are counted when it is opened."""


def others(container: Container, pane: Pane, census: Census) -> str:
    """Say what the rows of a list leave out, so that sums hold."""
    if pane is PANES[SLAB]:
        return _counted(container, census)
    rows = container.rows
    rest = {
        "Causes": rows.drivers_other_bytes,
        "Files": rows.files_other_bytes,
        "Processes": rows.processes_other_bytes,
        "Go": container.go.other_bytes if container.go is not None else None,
    }.get(pane.title)
    return f"not in these rows: {short_size(rest)}" if rest else ""


def _counted(container: Container, census: Census) -> str:
    """Say when the kernel objects were counted, and what the kernel's own figure is."""
    slab = container.slab
    if slab is None or census.age_seconds is None:
        return census.reason or "Kernel objects are not counted yet: b counts them."
    parts = [
        f"{short_size(slab.bytes)} counted {rough_time(census.age_seconds)} ago (b: again)",
        f"{short_size(slab.reclaimable_bytes)} freeable",
    ]
    if slab.kernel_bytes is not None:
        rest = short_size(slab.unattributed_bytes)
        parts.append(f"kernel {short_size(slab.kernel_bytes)}, rest {rest}")
    return "; ".join(parts)
