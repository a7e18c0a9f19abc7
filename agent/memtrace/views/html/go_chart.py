"""A Go program over time: live heap, goal, GOMEMLIMIT, its container's limit and collections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from memtrace.model.report.shapes import GoLine, GoPoint
from memtrace.model.units import size
from memtrace.views.html.chart import Hint, Limit, area, chart, legend, line
from memtrace.views.html.markup import NOTHING, Html, element
from memtrace.views.html.pieces import bullets, tiles
from memtrace.views.html.scale import UNITS, Scale, top_of

_HINTS = 60
_TALLEST = 130
"""Of the picture's UNITS: a stretch with the most collections."""


def go_program(program: GoLine, scale: Scale, clock: Callable[[float], str]) -> Html:
    """Return the chart of one program with its settings and what they mean here."""
    points = [point for run in program.runs for point in run]
    if not points:
        return NOTHING
    name = f"Go heap of {program.comm or 'a process'} (pid {program.pid})"
    drawn = chart(
        f"{name}: {_in_words(points[-1])}",
        scale,
        [layer for run in program.runs for layer in _layers(run, scale)],
        [Limit("memory limit", program.limit)],
        (),
        _hints(points, scale, clock),
    )
    what = ", ".join(filter(None, (program.version, program.main)))
    caption = element("figcaption", name, " ", element("small", what))
    return element(
        "figure",
        caption,
        drawn,
        _legend(points),
        tiles(_settings(program, points)),
        bullets(program.remarks),
    )


def go_top(program: GoLine) -> int:
    """Return the amount at the upper edge of the chart."""
    points = [point for run in program.runs for point in run]
    highest = max((max(point.live, point.goal, point.in_use) for point in points), default=0)
    ends = [points[-1].gomemlimit] if points else []
    return top_of(highest, [program.limit, *ends])


def _layers(run: Sequence[GoPoint], scale: Scale) -> list[Html]:
    live = [(point.seconds, point.live) for point in run]
    drawn = [area(live, scale, "s-live"), *_collections(run, scale), line(live, scale, "l-live")]
    drawn.append(line([(point.seconds, point.goal) for point in run], scale, "l-goal"))
    limits = [(p.seconds, p.gomemlimit) for p in run if p.gomemlimit and p.gomemlimit <= scale.top]
    if limits:
        drawn.append(line(limits, scale, "gomemlimit"))
    return drawn


def _collections(run: Sequence[GoPoint], scale: Scale) -> list[Html]:
    """Return a column from the ground for each stretch with collections."""
    most = max((point.cycles or 0 for point in run), default=0)
    found = []
    for before, point in pairwise(run):
        if point.cycles:
            left, right = scale.share(before.seconds), scale.share(point.seconds)
            height = max(20, _TALLEST * point.cycles / most)
            found.append(
                element(
                    "rect",
                    x=UNITS * left,
                    width=max(1.0, UNITS * (right - left) * 0.8),
                    y=UNITS - height,
                    height=height,
                    class_="f-cycle",
                )
            )
    return found


def _legend(points: Sequence[GoPoint]) -> Html:
    last = points[-1]
    counted = [point.cycles for point in points if point.cycles is not None]
    entries = [
        ("f-live", ("live heap ", element("b", size(last.live)))),
        ("f-goal", ("goal: it may grow so far ", element("b", size(last.goal)))),
    ]
    if last.gomemlimit is not None:
        entries.append(("f-golimit", ("GOMEMLIMIT ", element("b", size(last.gomemlimit)))))
    if any(counted):
        words = f"collections: {sum(counted)}, at most {max(counted)} between two points"
        entries.append(("f-cycle", (words, element("b", ""))))
    return legend(entries)


def _settings(program: GoLine, points: Sequence[GoPoint]) -> list[tuple[str, str | None]]:
    last = points[-1]
    gogc = "off" if program.gogc is not None and program.gogc < 0 else program.gogc
    quota = None if program.cpu_quota is None else f"{program.cpu_quota:g} CPUs"
    return [
        ("GOGC", None if gogc is None else str(gogc)),
        ("GOMEMLIMIT", "none" if last.gomemlimit is None else size(last.gomemlimit)),
        ("GOMAXPROCS", None if program.gomaxprocs is None else str(program.gomaxprocs)),
        ("CPU quota", quota),
        ("most live heap", size(max(point.live for point in points))),
        ("most heap in use", size(max(point.in_use for point in points))),
    ]


def _hints(points: Sequence[GoPoint], scale: Scale, clock: Callable[[float], str]) -> list[Hint]:
    step = max(1, -(-len(points) // _HINTS))
    chosen = points[::step]
    ends = [*(point.seconds for point in chosen[1:]), scale.end]
    return [
        Hint(point.seconds, end, f"{clock(point.seconds)}: {_in_words(point)}")
        for point, end in zip(chosen, ends, strict=True)
    ]


def _in_words(point: GoPoint) -> str:
    limit = "" if point.gomemlimit is None else f", GOMEMLIMIT {size(point.gomemlimit)}"
    return f"live {size(point.live)}, in use {size(point.in_use)}, goal {size(point.goal)}{limit}"
