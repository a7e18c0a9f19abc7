"""What memory consisted of over time: the stacked chart, its legend and its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memtrace.model.report.shapes import Parts, Point
from memtrace.model.units import percent, size
from memtrace.views.html.chart import (
    Hint,
    Limit,
    Mark,
    area,
    chart,
    legend,
    share_bar,
)
from memtrace.views.html.markup import NOTHING, Html, element
from memtrace.views.html.pieces import table
from memtrace.views.html.scale import Scale, top_of

NAMES = {
    "anon": "anonymous (heap, stacks)",
    "shmem": "shared memory, tmpfs",
    "kernel": "kernel memory",
    "slab": "kernel objects (slab)",
    "sock": "network buffers",
    "rest": "in none of these figures",
    "unwritten": "file data not yet written",
    "clean": "clean page cache",
}
_HINTS = 60
_FIGURES = 12

Runs = Sequence[Sequence[Point]]
Clock = Callable[[float], str]


def composition(
    title: str, runs: Runs, scale: Scale, clock: Clock, marks: Sequence[Mark] = ()
) -> Html:
    """Return the chart of a cgroup. `clock` says when a second is."""
    points = [point for run in runs for point in run]
    if not points:
        return NOTHING
    limit = points[-1].limit
    drawn = chart(
        f"{title}: {_in_words(points[-1])}",
        scale,
        [area(spots, scale, f"f-{name}") for run in runs for name, spots in _stacked(run)],
        [Limit("limit", limit)],
        marks,
        _hints(points, scale, clock),
    )
    return element(
        "figure", element("figcaption", title), drawn, _legend(points), _figures(points, clock)
    )


def top(runs: Runs) -> int:
    """Return the amount at the upper edge of the chart of these."""
    points = [point for run in runs for point in run]
    sums = [sum(part or 0 for part in point.parts) for point in points]
    highest = max([*sums, *(point.usage or 0 for point in points)], default=0)
    return top_of(highest, [points[-1].limit] if points else [])


def breakdown(parts: Parts, whole: int, name: str) -> Html:
    """Return one moment as a bar with its figures."""
    known = [(key, part) for key, part in zip(NAMES, parts, strict=True) if part]
    drawn = share_bar([(f"f-{key}", part) for key, part in known], whole, name, height=26)
    words = [
        (f"f-{key}", f"{NAMES[key]} {size(part)}, {percent(part, whole)}") for key, part in known
    ]
    return element("figure", drawn, legend(words))


def _stacked(run: Sequence[Point]) -> list[tuple[str, list[tuple[float, int]]]]:
    """Return each part with all below it, the highest first: what comes later covers it."""
    found, below = [], [0] * len(run)
    for place, name in enumerate(NAMES):
        own = [point.parts[place] or 0 for point in run]
        if any(own):
            below = [b + o for b, o in zip(below, own, strict=True)]
            found.append((name, [(p.seconds, b) for p, b in zip(run, below, strict=True)]))
    return found[::-1]


def _legend(points: Sequence[Point]) -> Html:
    last, entries = points[-1].parts, []
    for place, (key, name) in reversed(list(enumerate(NAMES.items()))):
        most = max((point.parts[place] or 0 for point in points), default=0)
        if most:
            words = f"{name} ", element("b", size(last[place])), f" (most {size(most)})"
            entries.append((f"f-{key}", words))
    return legend(entries)


def _hints(points: Sequence[Point], scale: Scale, clock: Clock) -> list[Hint]:
    chosen = _some(points, _HINTS)
    ends = [*(point.seconds for point in chosen[1:]), scale.end]
    return [
        Hint(point.seconds, end, f"{clock(point.seconds)}: {_in_words(point)}")
        for point, end in zip(chosen, ends, strict=True)
    ]


def _in_words(point: Point) -> str:
    parts = [f"{NAMES[k]} {size(p)}" for k, p in zip(NAMES, point.parts, strict=True) if p]
    return f"{size(point.usage)} in use; {', '.join(parts)}"


def _figures(points: Sequence[Point], clock: Clock) -> Html:
    """The same as a table, for those who cannot see the picture or want to copy figures."""
    chosen = _some(points, _FIGURES)
    places = [n for n in range(len(NAMES)) if any(point.parts[n] for point in points)]
    titles = ["time", "in use", *(list(NAMES)[n] for n in places)]
    rows = [[clock(p.seconds), size(p.usage), *(size(p.parts[n]) for n in places)] for p in chosen]
    inner = element("div", table(titles, rows, range(1, len(titles))), class_="scroll")
    return element("details", element("summary", "The figures"), inner)


def _some(points: Sequence[Point], most: int) -> Sequence[Point]:
    """Return at most so many in equal steps, the last one always."""
    step = max(1, -(-len(points) // most))
    return points[::-1][::step][::-1]
