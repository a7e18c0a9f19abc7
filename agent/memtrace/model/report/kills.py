"""Recorded kills as events of a report, and what such a record alone can show. Pure.

A record may be of another version, or damaged: what is missing or odd in it is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from memtrace.model.report.parts import of_record, whole_number
from memtrace.model.report.shapes import Event, Point
from memtrace.model.units import size
from memtrace.model.words import REASON_OF_KILL

Document = Mapping[str, Any]
_AFTER = 5.0
"""Seconds after the last sample: of what was killed there may be none any more."""
_AT_THE_KILL = ("kernel", "victims")


def events(
    documents: Iterable[Document], node: str, begin: float, seconds: float
) -> tuple[Event, ...]:
    """Return the kills on that node in that time; `begin` by the clock on the wall."""
    found = []
    for document in documents:
        time = number(document.get("time"))
        if (
            time is not None
            and document.get("node") == node
            and 0 <= time - begin <= seconds + _AFTER
        ):
            found.append(_event(document, min(seconds, time - begin)))
    return tuple(found)


def history(document: Document) -> tuple[Point, ...]:
    """Return the time before the kill; `seconds` are negative, 0 is the kill, if that is known."""
    limit = whole_number(table(document, "oom_cgroup").get("limit"))
    rows = [row for row in rows_of(document, "history") if number(row.get("seconds_before"))]
    points = [
        Point(
            -float(row["seconds_before"]),
            whole_number(row.get("usage_bytes")),
            limit,
            whole_number(row.get("swap_bytes")),
            of_record(row),
        )
        for row in rows
    ]
    composed = table(document, "composition")
    if points and composed.get("source") in _AT_THE_KILL:
        usage = whole_number(composed.get("usage_bytes"))
        points.append(Point(0.0, usage, limit, None, of_record(composed)))
    return tuple(sorted(points, key=lambda point: point.seconds))


def table(document: Document, key: str) -> Document:
    """Return what a key holds if that is an object, else an empty one."""
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def rows_of(document: Document, key: str) -> list[Document]:
    """Return the objects that a key holds in a list."""
    found = document.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def number(value: object) -> float | None:
    """Return a finite number, None for anything else."""
    if type(value) not in (int, float):
        return None
    try:
        found = float(value)  # type: ignore[arg-type]
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def place(document: Document) -> str:
    """Return whose memory it was: the victim's container, else the cgroup."""
    for found in (table(document, "victim"), table(document, "oom_cgroup")):
        names = [found.get(key) for key in ("namespace", "pod", "container")]
        if found.get("container"):
            return "/".join(str(name) for name in names if name)
    path = table(document, "oom_cgroup").get("path") or table(document, "victim").get("cgroup")
    return str(path) if path else "somewhere"


def _event(document: Document, seconds: float) -> Event:
    victim, limited = table(document, "victim"), table(document, "oom_cgroup")
    who = f"{victim.get('comm')} (pid {victim.get('pid')}) " if victim else ""
    why = REASON_OF_KILL.get(str(document.get("kill")), "killed for want of memory")
    limit = whole_number(limited.get("limit"))
    at = f", limit {size(limit)}" if limit is not None else ""
    claim = table(document, "verdict").get("claim")
    words = f"{who}{why}{at}. {claim or ''} (record {document.get('id')})"
    return Event(seconds, "oom", whole_number(limited.get("cgroup_id")), place(document), words)
