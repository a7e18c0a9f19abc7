"""Charts as SVG that fits any width: layers over a time axis, with limits, events and gaps.

What is drawn is stretched to the width, what is written is not: it keeps its size on a phone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from memtrace.model.units import size
from memtrace.views.html.markup import Content, Html, element, raw
from memtrace.views.html.scale import FOOT, HEAD, HEIGHT, UNITS, Scale, amounts

_NEAR = 0.03
"""Of the width: events that are closer share a mark."""

Spot = tuple[float, int]


class Limit(NamedTuple):
    """A line across the picture. `amount` None: there is none."""

    name: str
    amount: int | None


class Mark(NamedTuple):
    """An event in the picture; `number` refers to the list of events."""

    seconds: float
    number: int
    words: str


class Hint(NamedTuple):
    """What is shown when a pointer rests on a stretch of time."""

    begin: float
    end: float
    words: str


def chart(
    name: str,
    scale: Scale,
    layers: Iterable[Html],
    limits: Iterable[Limit] = (),
    marks: Sequence[Mark] = (),
    hints: Iterable[Hint] = (),
) -> Html:
    """Return the picture. `name` is what a screen reader says of it."""
    stretched = element(
        "svg",
        layers,
        y=HEAD,
        width="100%",
        height=HEIGHT,
        viewBox=f"0 0 {UNITS} {UNITS}",
        preserveAspectRatio="none",
    )
    return element(
        "svg",
        element("title", name),
        list(_gaps(scale)),
        stretched,
        list(_grid(scale)),
        list(_times(scale)),
        [each for limit in limits for each in _limit(limit, scale)],
        [_stretch(*hint, "hit", scale) for hint in hints],
        [each for group in _grouped(marks, scale) for each in _mark(group, scale)],
        class_="wide",
        height=HEAD + HEIGHT + FOOT,
        role="img",
    )


def area(run: Sequence[Spot], scale: Scale, class_: str) -> Html:
    """Return what is below a line."""
    spots = _wide_enough(run, scale)
    first, last = scale.share(spots[0][0]), scale.share(spots[-1][0])
    drawn = " L".join(scale.spot(*spot) for spot in spots)
    begin, end = f"{round(UNITS * first)} {UNITS}", f"{round(UNITS * last)} {UNITS}"
    return element("path", class_=class_, d=raw(f"M{begin} L{drawn} L{end}Z"))


def line(run: Sequence[Spot], scale: Scale, class_: str) -> Html:
    """Return a line."""
    drawn = " L".join(scale.spot(*spot) for spot in _wide_enough(run, scale))
    return element("path", class_=class_, d=raw(f"M{drawn}"))


def swatch(class_: str) -> Html:
    """Return a little square of the colour."""
    square = element("rect", width=11, height=11, rx=2, class_=class_)
    return element("svg", square, width=11, height=11, aria_hidden="true")


def legend(entries: Iterable[tuple[str, Content]]) -> Html:
    """Return what the colours mean: class of the colour, words."""
    items = [element("li", swatch(class_), words) for class_, words in entries]
    return element("ul", items, class_="legend")


def share_bar(parts: Sequence[tuple[str, int]], whole: int, name: str, height: int = 12) -> Html:
    """Return amounts side by side as shares of a whole: class of the colour, amount."""
    drawn, so_far = [element("rect", width="100%", height=height, class_="track")], 0
    for class_, part in parts:
        left, right = min(whole, so_far), min(whole, so_far + max(0, part))
        so_far += max(0, part)
        where = {"x": _share(left, whole), "width": _share(right - left, whole)}
        drawn.append(element("rect", height=height, class_=class_, **where))
    return element("svg", element("title", name), drawn, class_="wide", height=height, role="img")


def spark(usage: Sequence[int | None], name: str) -> Html:
    """Return a small line of equal steps, from 0 to its highest."""
    highest = max((each for each in usage if each is not None), default=0)
    scale = Scale(0, max(1, len(usage) - 1), max(1, highest), ())
    drawn = [area(run, scale, "a-usage") for run in _known(usage)]
    drawn += [line(run, scale, "l-usage") for run in _known(usage)]
    return element(
        "svg",
        element("title", name),
        drawn,
        width="100%",
        height=26,
        viewBox=f"0 -40 {UNITS} {UNITS + 60}",
        preserveAspectRatio="none",
        role="img",
    )


def _known(usage: Sequence[int | None]) -> list[list[Spot]]:
    runs: list[list[Spot]] = [[]]
    for place, amount in enumerate(usage):
        if amount is None:
            runs.append([])
        else:
            runs[-1].append((place, amount))
    return [run for run in runs if run]


def _wide_enough(run: Sequence[Spot], scale: Scale) -> Sequence[Spot]:
    """A single point is drawn as a short stretch, so that it is seen at all."""
    if len(run) > 1:
        return run
    (seconds, amount), half = run[0], (scale.end - scale.begin) / 400
    return ((seconds - half, amount), (seconds + half, amount))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}%" if whole > 0 else "0%"


def _gaps(scale: Scale) -> Iterator[Html]:
    for gap in scale.gaps:
        yield _stretch(gap.begin, gap.end, gap.reason, "gap", scale)


def _grid(scale: Scale) -> Iterator[Html]:
    for amount in amounts(scale.top):
        y = scale.pixel(amount)
        yield element("line", x2="100%", y1=y, y2=y, class_="grid")
        yield element("text", size(amount), x=4, y=y - 4, class_="on")
    bottom = HEAD + HEIGHT
    yield element("line", x2="100%", y1=bottom, y2=bottom, class_="axis")


def _times(scale: Scale) -> Iterator[Html]:
    for seconds, words in scale.ticks:
        share, x = scale.share(seconds), scale.percent(seconds)
        anchor = "start" if share < 0.06 else "end" if share > 0.94 else "middle"
        yield element("line", x1=x, x2=x, y1=HEAD + HEIGHT, y2=HEAD + HEIGHT + 4, class_="axis")
        yield element("text", words, x=x, y=HEAD + HEIGHT + 17, text_anchor=anchor)


def _limit(limit: Limit, scale: Scale) -> Iterator[Html]:
    if limit.amount is None:
        return
    words = f"{limit.name} {size(limit.amount)}"
    if limit.amount > scale.top:
        words, y = f"{words}, above this picture", float(HEAD)
    else:
        y = scale.pixel(limit.amount)
        yield element("line", x2="100%", y1=y, y2=y, class_="limit")
    yield element("text", words, x="50%", y=y - 5, text_anchor="middle", class_="on")


def _stretch(begin: float, end: float, words: str, class_: str, scale: Scale) -> Html:
    """Return a part of the picture from top to bottom that says something under a pointer."""
    left, right = scale.share(begin), scale.share(end)
    x, width = f"{100 * left:.2f}%", f"{100 * (right - left):.2f}%"
    drawn = element("rect", x=x, y=HEAD, width=width, height=HEIGHT, class_=class_)
    return element("g", element("title", words), drawn)


def _grouped(marks: Sequence[Mark], scale: Scale) -> list[list[Mark]]:
    groups: list[list[Mark]] = []
    for mark in marks:
        near = groups and scale.share(mark.seconds) - scale.share(groups[-1][0].seconds) < _NEAR
        if near:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return groups


def _mark(group: Sequence[Mark], scale: Scale) -> Iterator[Html]:
    first, last = group[0], group[-1]
    share, x = scale.share(first.seconds), scale.percent(first.seconds)
    label = str(first.number) if first is last else f"{first.number}-{last.number}"
    half = 5 + 3.5 * len(label)
    shift = half - 1 if share < 0.03 else 1 - half if share > 0.97 else 0
    title = element("title", "; ".join(mark.words for mark in group))
    yield element("line", x1=x, x2=x, y1=HEAD - 2, y2=HEAD + HEIGHT, class_="event")
    badge = element("rect", x=-half, width=2 * half, height=16, rx=8, class_="mark")
    words = element("text", label, y=12, text_anchor="middle", class_="number")
    inner = element("g", title, badge, words, transform=f"translate({shift:.4g} 0)")
    yield element("svg", inner, x=x, y=1, overflow="visible", class_="wide")
