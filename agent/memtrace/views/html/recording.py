"""A recording, or a part of it, as one page: the list of containers, then some of them in full."""

from __future__ import annotations

from memtrace.model.deltas import gauge
from memtrace.model.report.shapes import Detail, Event, GoLine, Line, Report
from memtrace.model.selection import display_name
from memtrace.model.shapes import Container
from memtrace.model.units import clock, size
from memtrace.model.words import VERBS, target, top_cause, working_set
from memtrace.views.html.chart import Mark, spark
from memtrace.views.html.composition import composition, top
from memtrace.views.html.go_chart import go_program, go_top
from memtrace.views.html.markup import NOTHING, Html, element
from memtrace.views.html.page import page
from memtrace.views.html.pieces import (
    badge,
    bar,
    bullets,
    change,
    path,
    table,
    tiles,
    titled,
    verdict_block,
)
from memtrace.views.html.scale import Scale, clock_ticks, day_and_time, moment

MOST_LINES = 50
OOM = "oom"
_EVENT_WORDS = {OOM: "OOM kill", "removed": "removed", "began": "began", "limit": "new limit"}


def render(report: Report, version: str) -> str:
    """Return the page. `version`: of the memtrace that makes it."""
    names = [display_name(detail.container) for detail in report.details]
    title = f"{', '.join(names[:3])} on {report.node}" if len(names) == 1 else report.node
    return page(
        f"memtrace: {title}",
        _head(report, title),
        _overview(report),
        [_detail(detail, report) for detail in report.details],
        _events(report),
        _limits(report),
        element("footer", _reading(), element("p", f"Made by memtrace {version}.")),
    )


def _head(report: Report, title: str) -> Html:
    long = f"{clock(report.seconds)}, {report.samples} samples"
    where = f"node {report.node}, cgroup {report.cgroup_mode}, engine {report.engine}"
    end = moment(report.begin + report.seconds)
    return element(
        "header",
        element("div", "memtrace report", class_="brand"),
        element("h1", title),
        element("p", f"{day_and_time(report.begin)} to {end} ({long}); {where}", class_="dim"),
    )


def _overview(report: Report) -> Html:
    if len(report.lines) <= 1:
        return NOTHING
    shown = {detail.container.source.cgroup_id for detail in report.details}
    rows = [_line(line, shown, report) for line in report.lines[:MOST_LINES]]
    titles = ["container", "verdict", "usage", "at the end", "peak", "limit", "change", "top cause"]
    left = len(report.lines) - len(rows)
    more = element("p", f"{left} more are not listed.", class_="dim") if left else NOTHING
    return element(
        "section",
        element("h2", f"{len(report.lines)} containers and units"),
        element("p", "Those that rose most come first; linked ones are below.", class_="dim"),
        table(titles, rows, (3, 4, 5, 6), 2),
        more,
    )


def _line(line: Line, shown: set[int], report: Report) -> list[str | Html | tuple[str | Html, ...]]:
    container = line.container
    name: str | Html = display_name(container)
    here = container.source.cgroup_id
    killed = any(event.kind == OOM and event.cgroup_id == here for event in report.events)
    if here in shown:
        name = element("a", name, href=f"#c{here}")
    gone = _gone(container, line.last_seconds, report)
    return [
        (element("span", name, class_="any"), element("span", gone, class_="dim")),
        element("span", "!!OOM kill", class_="badge critical")
        if killed
        else badge(container.verdict),
        spark(line.usage, f"usage of {display_name(container)}, most {size(line.peak)}"),
        size(line.last),
        size(line.peak),
        size(container.memory.limit_bytes),
        change(gauge(line.last, line.first)),
        element("span", top_cause(container), class_="any"),
    ]


def _gone(container: Container, last_seconds: float, report: Report) -> str:
    """Say that it was not there at the end."""
    if container.source.state == "running" and last_seconds >= report.seconds:
        return ""
    return f" (gone since {moment(report.begin + last_seconds)})"


def _detail(detail: Detail, report: Report) -> Html:
    container = detail.container
    marks = [
        Mark(event.seconds, number, f"{number}: {_said(event)}")
        for number, event in enumerate(detail.events, start=1)
    ]
    gone = _gone(container, detail.last_seconds, report)
    return element(
        "section",
        element("h2", display_name(container), element("span", gone, class_="dim")),
        element("p", _identity(container), class_="dim"),
        [_kill(event, report) for event in detail.events if event.kind == OOM],
        _as_of(detail, report),
        verdict_block(detail.verdict),
        tiles(_figures(detail, report)),
        element("p", working_set(container.working_set)),
        composition(
            "What its memory was",
            detail.runs,
            _scale(report, top(detail.runs)),
            lambda seconds: moment(report.begin + seconds),
            marks,
        ),
        _event_list(detail, report),
        _causes(detail),
        element("div", _kinds(detail), _processes(detail), class_="pair"),
        _files(detail),
        titled("Go programs", [_go(program, report) for program in detail.go]),
        id=f"c{container.source.cgroup_id}",
    )


def _as_of(detail: Detail, report: Report) -> Html:
    if detail.judged_seconds >= detail.last_seconds:
        return NOTHING
    when = moment(report.begin + detail.judged_seconds)
    return element("p", f"The verdict is of {when}, when it used most.", class_="dim")


def _kill(event: Event, report: Report) -> Html:
    when = moment(report.begin + event.seconds)
    words = element("p", f"OOM kill at {when}: {event.text}", class_="claim")
    return element("div", words, class_="verdict critical")


def _go(program: GoLine, report: Report) -> Html:
    scale = _scale(report, go_top(program))
    return go_program(program, scale, lambda seconds: moment(report.begin + seconds))


def _scale(report: Report, highest: int) -> Scale:
    ticks = clock_ticks(report.begin, report.seconds)
    return Scale(0, report.seconds, highest, ticks, report.gaps)


def _identity(container: Container) -> Html:
    source, who = container.source, container.source.identity
    names = (("namespace", who.namespace), ("pod", who.pod), ("container", who.container))
    words = [f"{key} {name}" for key, name in names if name]
    words += [f"image {who.image}"] if who.image else []
    words += [who.runtime] if who.runtime else []
    return element("span", ", ".join([*words, "cgroup "]), path(source.path))


def _figures(detail: Detail, report: Report) -> list[tuple[str, str | None]]:
    memory, cache, peak = detail.container.memory, detail.container.page_cache, detail.peak
    at = f" at {moment(report.begin + peak.seconds)}" if peak else ""
    return [
        ("in use at the end", size(memory.usage_bytes)),
        (f"peak{at}", size(peak.usage if peak else None)),
        ("memory limit", "none" if memory.limit_bytes is None else size(memory.limit_bytes)),
        ("change in this time", change(gauge(memory.usage_bytes, detail.first))),
        ("working set (kubelet)", size(memory.working_set_bytes)),
        ("page cache", size(memory.file_bytes)),
        ("anonymous", size(memory.anon_bytes)),
        (
            "read again after reclaim",
            size(cache.refaulted_bytes) if cache.refaulted_bytes else None,
        ),
        ("in swap", size(memory.swap_bytes) if memory.swap_bytes else None),
    ]


def _causes(detail: Detail) -> Html:
    most = max((row.added for row in detail.grown), default=0)
    rows = [
        (
            size(each.added),
            bar(each.added, most, "f-clean", "added"),
            VERBS.get(each.row.kind, each.row.kind),
            _who(each.row.comm, each.row.tgid, each.times),
            path(target(each.row) or "-"),
        )
        for each in detail.grown
    ]
    rest = f"All others together: {size(detail.grown_other)}." if detail.grown_other else None
    return titled(
        "What put most into its page cache in this time",
        table(["added", "", "by", "process", "file"], rows, (0,), 1),
        element("p", rest, class_="dim") if rest and rows else None,
    )


def _who(comm: str | None, pid: int, times: int) -> str:
    if times > 1:
        return f"{comm or '-'} ({times} times)"
    return f"{comm or '-'} ({pid})" if pid else comm or "-"


def _kinds(detail: Detail) -> Html:
    most = max((amount for _, amount in detail.kinds), default=0)
    rows = [
        (size(amount), bar(amount, most, "f-clean", kind), VERBS.get(kind, kind))
        for kind, amount in detail.kinds
    ]
    return titled("By kind of I/O", table(["added", "", "kind"], rows, (0,), 1))


def _files(detail: Detail) -> Html:
    most = max((file.resident_bytes or 0 for file in detail.files), default=0)
    rows = [
        (
            size(file.resident_bytes),
            bar(file.resident_bytes, most, "f-clean", "cached"),
            path(target(file.row) or "-"),
            "deleted" if file.row.deleted else "",
        )
        for file in detail.files
        if file.resident_bytes
    ]
    made = table(["cached", "", "file", ""], rows, (0,), 1)
    return titled("Largest files in its page cache", made)


def _processes(detail: Detail) -> Html:
    most = max((each.added for each in detail.doers), default=0)
    rows = [
        (
            size(each.added),
            bar(each.added, most, "f-clean", "added"),
            f"{each.comm or '-'} ({each.times} times)" if each.times > 1 else each.comm or "-",
            size(each.peak_rss),
        )
        for each in detail.doers
    ]
    titles = ["added", "", "process", "largest peak RSS"]
    return titled("By process", table(titles, rows, (0, 3), 1))


def _event_list(detail: Detail, report: Report) -> Html:
    items = [
        (element("b", f"{number} "), moment(report.begin + event.seconds), " ", _said(event))
        for number, event in enumerate(detail.events, start=1)
    ]
    return titled("What happened", bullets(items))


def _events(report: Report) -> Html:
    rows = [
        (moment(report.begin + event.seconds), _EVENT_WORDS[event.kind], event.who, event.text)
        for event in report.events
    ]
    if not rows:
        return NOTHING
    made = table(["time", "what", "who", "in full"], rows, ())
    return element("section", element("h2", "Events"), made)


def _said(event: Event) -> str:
    return f"OOM kill: {event.text}" if event.kind == OOM else event.text


def _limits(report: Report) -> Html:
    gaps = [
        f"no samples from {moment(report.begin + gap.begin)} to {moment(report.begin + gap.end)}: "
        f"{gap.reason}"
        for gap in report.gaps
    ]
    return element(
        "section",
        element("h2", "Gaps and losses"),
        bullets([*gaps, *report.remarks] or ["none"]),
    )


def _reading() -> Html:
    return element(
        "p",
        "Figures are the kernel's, of the container and all below it. Times are UTC. Page cache is "
        "counted exactly and named by file, process and kind of I/O; a dash is unknown. What is "
        "drawn at the top of a chart (page cache) the kernel gives back first, what is at the "
        "bottom (anonymous memory) it cannot without swap. Each picture of more samples than it "
        "has room for shows the highest of each stretch.",
    )
