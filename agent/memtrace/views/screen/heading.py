"""The lines above a list: where and when, the node or the container as a whole. Draws only."""

from __future__ import annotations

from datetime import datetime

from memtrace.model import words
from memtrace.model.history import NO_TREND, Trend
from memtrace.model.selection import display_name, whole_node
from memtrace.model.shapes import Container
from memtrace.model.units import clock, short_size, signed_size
from memtrace.views.screen import cells, charts
from memtrace.views.screen.explanation import wrapped
from memtrace.views.screen.look import SEVERITY, Ink, Line, Look, Span, line
from memtrace.views.screen.panes import PANES
from memtrace.views.screen.table import figure
from memtrace.views.screen.view import Scene, View

_CHART, _LEAST_CHART = 24, 8
_LEAST_ASKED = 8


def top_line(view: View, scene: Scene | None, width: int, beside: str = "") -> Line:
    """Return who speaks, when, and what is unusual; `beside` stands at the right."""
    parts = ["memtrace" if scene is None else f"memtrace on {scene.snapshot.node}"]
    parts += ["PAUSED"] if view.paused else []
    parts += [f"{view.busy} ..."] if view.busy else []
    if scene is not None:
        parts += _when(view, scene)
    if cells.width(beside) >= width // 2:
        beside = ""
    room = width - cells.width(beside) - 1 if beside else width
    text = cells.whole(parts, room, "  ")
    left = max(0, room - cells.width(text) - 2)
    asked = cells.left(_asked(view), left) if left > _LEAST_ASKED else ""
    drawn = cells.left(f"{text}  {asked}" if asked else text, room)
    return line(f"{drawn} {beside}" if beside else drawn, Ink.BOLD)


def _when(view: View, scene: Scene) -> list[str]:
    """Say when it was, and how far into a recording or how often it is read."""
    moment, at = datetime.fromtimestamp(scene.snapshot.time), scene.position
    if at is None:
        return [moment.strftime("%H:%M:%S"), f"every {view.interval:g} s"]
    where = f"{clock(at.seconds)} of {clock(at.of_seconds)}"
    return [
        "REPLAY" if not at.is_last else "REPLAY (end)",
        where,
        moment.strftime("%Y-%m-%d %H:%M:%S"),
    ]


def _asked(view: View) -> str:
    """Say what hides containers."""
    words = ("namespace", "pod", "container", "process")
    asked = [f"{w} {value}" for w, value in zip(words, view.wanted, strict=False) if value]
    asked += [f"filter: {view.filter}"] if view.filter else []
    return f"only {', '.join(asked)}" if asked else ""


def node_line(view: View, scene: Scene | None, width: int) -> Line:
    """Return the whole node in one line."""
    whole = whole_node(scene.snapshot) if scene is not None else None
    if whole is None or scene is None:
        return line(cells.left("", width))
    memory, cache = whole.memory, whole.page_cache
    parts = [
        f"node: {short_size(memory.usage_bytes)} used",
        f"{short_size(memory.anon_bytes)} anon",
        f"{short_size(memory.file_bytes)} cache ({short_size(cache.baseline_bytes)} before)",
        f"growth {signed_size(whole.usage_delta_bytes)}",
    ]
    parts += [swap] if (swap := words.swap(scene.snapshot.swap)) else []
    trend = scene.trends.get(whole.source.cgroup_id, NO_TREND)
    return line(_with_chart(parts, trend, width, view.look))


def inside_lines(
    view: View, scene: Scene, container: Container, width: int, claim_lines: int
) -> list[Line]:
    """Return who the container is, how much it uses, and what that means."""
    lines = [line(cells.left(_who(container), width), Ink.BOLD)]
    trend = scene.trends.get(container.source.cgroup_id, NO_TREND)
    parts = [*_amounts(container), f"since start {signed_size(trend.since_start_bytes)}"]
    lines.append(line(_with_chart(parts, trend, width, view.look)))
    ink = SEVERITY.get(container.verdict.severity, Ink.PLAIN)
    claim = wrapped(words.verdict_in_full(container.verdict), width, claim_lines)
    lines += [line(cells.left(text, width), ink) for text in claim]
    return lines + [line(cells.left("", width))] * (claim_lines - len(claim))


def tabs_line(view: View, width: int) -> Line:
    """Return the names of the lists with their keys, the one shown in brackets."""
    spans = []
    for number, pane in enumerate(PANES, start=1):
        here = number - 1 == view.tab
        text = f"[{number} {pane.title}]" if here else f" {number} {pane.title} "
        spans.append(Span(text, Ink.BOLD if here else Ink.PLAIN))
    used = sum(len(span.text) for span in spans)
    if used > width:
        return line(cells.left("".join(span.text for span in spans), width))
    return Line((*spans, Span(" " * (width - used))))


def _with_chart(parts: list[str], trend: Trend, width: int, look: Look) -> str:
    """Return the parts that fit and, if there is room, the course of usage beside them."""
    text = cells.whole(parts, width)
    room = width - cells.width(text) - 2
    chart = charts.sparkline(trend, min(room, _CHART), look) if room >= _LEAST_CHART else ""
    return cells.left(f"{text}  {chart}" if chart else text, width)


def _who(container: Container) -> str:
    identity, parts = container.source.identity, [display_name(container)]
    parts.append("removed" if container.source.state == "removed" else identity.kind)
    for word, value in (("in namespace", identity.namespace), ("image", identity.image)):
        if value:
            parts.append(f"{word} {value}")
    parts.append(f"cgroup {container.source.path}")
    return ", ".join(parts)


def _amounts(container: Container) -> list[str]:
    memory, removed = container.memory, container.source.state == "removed"
    if removed:
        left = short_size(figure(container, "file_bytes"))
        return [f"removed: {left} of its cache is left", "charged to what is above it"]
    limit = f"of {short_size(memory.limit_bytes)}" if memory.limit_bytes else "without a limit"
    swapped = [f"{short_size(memory.swap_bytes)} in swap"] if memory.swap_bytes else []
    return [
        f"{short_size(memory.usage_bytes)} used {limit}",
        f"{short_size(memory.anon_bytes)} anon",
        f"{short_size(memory.file_bytes)} cache",
        *swapped,
        f"growth {signed_size(container.usage_delta_bytes)}",
    ]
