"""Puts a report together from both passes over a recording."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memtrace.model.report.detail import Close
from memtrace.model.report.overview import Overview
from memtrace.model.report.shapes import Detail, Event, Gap, Line, Report
from memtrace.model.shapes import Snapshot


def compose(
    last: Snapshot,
    begin: float,
    seconds: float,
    overview: Overview,
    close: Iterable[Close],
    kills: Iterable[Event],
    gaps: Sequence[Gap],
    remarks: Iterable[str] = (),
) -> Report:
    """Return the report. `kills`: events from elsewhere, as recordings hold none.

    `remarks` come before those that follow from the recording.
    """
    events = tuple(sorted([*overview.events(), *kills], key=lambda event: event.seconds))
    details = tuple(each.detail(gaps, events) for each in close)
    return Report(
        last.node,
        last.cgroup_mode,
        last.engine,
        begin,
        seconds,
        overview.samples,
        _judged(overview.lines(), details),
        details,
        events,
        tuple(gaps),
        (*remarks, *overview.remarks()),
    )


def _judged(lines: Iterable[Line], details: Iterable[Detail]) -> tuple[Line, ...]:
    """Return the list with the verdicts of those that were looked at closely."""
    known = {each.container.source.cgroup_id: each.verdict for each in details}
    return tuple(
        line._replace(container=container._replace(verdict=known[container.source.cgroup_id]))
        if (container := line.container).source.cgroup_id in known
        else line
        for line in lines
    )
