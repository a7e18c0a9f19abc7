"""Puts a report together from both passes over a recording."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memtrace.model.report.detail import Close
from memtrace.model.report.overview import Overview
from memtrace.model.report.shapes import Event, Gap, Report
from memtrace.model.shapes import Snapshot


def compose(
    last: Snapshot,
    begin: float,
    seconds: float,
    overview: Overview,
    close: Iterable[Close],
    kills: Iterable[Event],
    gaps: Sequence[Gap],
) -> Report:
    """Return the report. `kills`: events from elsewhere, as recordings hold none."""
    events = tuple(sorted([*overview.events(), *kills], key=lambda event: event.seconds))
    return Report(
        last.node,
        last.cgroup_mode,
        last.engine,
        begin,
        seconds,
        overview.samples,
        overview.lines(),
        tuple(each.detail(gaps, events) for each in close),
        events,
        tuple(gaps),
        tuple(overview.remarks()),
    )
