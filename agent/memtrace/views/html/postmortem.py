"""A recorded kill as one page, drawn from its document alone.

The record may be another version's, or a stranger's: what is missing or odd in it is left out.
"""

from __future__ import annotations

from typing import Any

from memtrace.model.report.kills import Document, history, number, place, rows_of, table
from memtrace.model.report.parts import of_record, whole_number
from memtrace.model.shapes import Advice, Evidence, Verdict
from memtrace.model.units import clock, size
from memtrace.model.words import REASON_OF_KILL, VERBS
from memtrace.views.html import pieces
from memtrace.views.html.composition import breakdown, composition, top
from memtrace.views.html.markup import NOTHING, Html, element
from memtrace.views.html.page import page
from memtrace.views.html.scale import Scale, countdown, day_and_time

ROWS = 20
_WHEN = {"kernel": "at the kill", "victims": "at the kill", "sample": "before the kill"}


def render(document: Document, version: str) -> str:
    """Return the page. `version`: of the memtrace that makes it."""
    return page(
        f"memtrace: {place(document)}, OOM kill",
        _head(document),
        _verdict(document),
        _what(document),
        _before(document),
        _who(document),
        _causes(document),
        _files(document),
        _go(document),
        _gaps(document),
        element("footer", element("p", f"Times are UTC. Made by memtrace {version}.")),
    )


def _head(document: Document) -> Html:
    kill = REASON_OF_KILL.get(str(document.get("kill")), "killed")
    late = " (seen late)" if document.get("seen_late") else ""
    when = day_and_time(number(document.get("time")))
    node = f"node {_text(document.get('node'))}, record {_text(document.get('id'))}"
    return element(
        "header",
        element("div", "memtrace report of an OOM kill", class_="brand"),
        element("h1", f"{place(document)}: {kill}{late}"),
        element("p", f"{when}; {node}", class_="dim"),
    )


def _verdict(document: Document) -> Html:
    told = table(document, "verdict")
    if not told.get("claim"):
        return NOTHING
    verdict = Verdict(
        _text(told.get("id")),
        _text(told.get("claim")),
        _text(told.get("severity")),
        min(1.0, max(0.0, number(told.get("confidence")) or 0.0)),
        whole_number(told.get("bytes")),
        tuple(_one_evidence(each) for each in rows_of(told, "evidence")),
        tuple(_one_advice(each) for each in rows_of(document, "advice")),
    )
    return pieces.verdict_block(verdict)


def _one_evidence(told: Document) -> Evidence:
    value = told.get("value")
    figure = number(value)
    shown = value if isinstance(value, str) else figure
    return Evidence(_text(told.get("text")), shown, _text(told.get("unit") or ""))


def _one_advice(told: Document) -> Advice:
    return Advice(
        _text(told.get("setting")),
        _setting(told.get("from")),
        _setting(told.get("to")),
        _text(told.get("why")),
        _text(told.get("cost") or ""),
        _text(told.get("paste") or ""),
    )


def _setting(value: Any) -> int | str | None:
    return value if isinstance(value, str) else whole_number(value)


def _what(document: Document) -> Html:
    composed, limited = table(document, "composition"), table(document, "oom_cgroup")
    usage, limit = whole_number(composed.get("usage_bytes")), whole_number(limited.get("limit"))
    parts, kills = of_record(composed), whole_number(document.get("kills")) or 0
    whole = max(limit or 0, usage or 0, sum(part or 0 for part in parts))
    figures = [
        ("in use", size(usage)),
        ("limit", size(limit)),
        ("kills", str(kills) if kills > 1 else None),
    ]
    age = number(composed.get("age_seconds"))
    before = f"{age:.1f} s " if age else ""
    when = _WHEN.get(str(composed.get("source")), "")
    drawn = breakdown(parts, whole, "what the memory was") if any(parts) else NOTHING
    return pieces.titled(f"What the memory was {before}{when}", pieces.tiles(figures), drawn)


def _before(document: Document) -> Html:
    points = history(document)
    if len(points) < 2:
        return NOTHING
    long, runs = -points[0].seconds, (points,)
    scale = Scale(points[0].seconds, 0.0, top(runs), countdown(long, "kill"))
    return composition("The time before", runs, scale, lambda seconds: f"-{clock(-seconds)}")


def _who(document: Document) -> Html:
    victims, trigger = rows_of(document, "victims"), table(document, "trigger")
    rows = [_process("killed", victim) for victim in victims[:ROWS]]
    if trigger and (not victims or trigger.get("pid") != victims[0].get("pid")):
        word = "decided" if document.get("kill") == "userspace" else "triggered"
        rows.append(_process(word, trigger))
    own = bool(trigger) and len(rows) == min(len(victims), ROWS)
    titles = ["", "process", "container", "resident", "anonymous", "peak", "oom_score_adj"]
    left = len(victims) - ROWS
    path = table(document, "oom_cgroup").get("path")
    return pieces.titled(
        "Who",
        pieces.table(titles, rows, (3, 4, 5, 6)),
        element("p", f"{left} more were killed.") if left > 0 else None,
        element("p", "Triggered by its own allocation.") if own else None,
        element("p", "Out of memory: ", pieces.path(str(path))) if path else None,
    )


def _process(word: str, told: Document) -> list[str | Html]:
    names = [told.get(key) for key in ("namespace", "pod", "container")]
    where = "/".join(str(name) for name in names if name)
    return [
        word,
        f"{_text(told.get('comm'))} ({_text(told.get('pid'))})",
        where or pieces.path(_text(told.get("cgroup"))),
        size(whole_number(told.get("rss_bytes"))),
        size(whole_number(told.get("rss_anon_bytes"))),
        size(whole_number(told.get("peak_rss_bytes"))),
        _text(told.get("oom_score_adj")),
    ]


def _causes(document: Document) -> Html:
    rows = rows_of(document, "drivers")[:ROWS]
    most = max((whole_number(row.get("added_bytes")) or 0 for row in rows), default=0)
    made = [
        (
            size(whole_number(row.get("added_bytes"))),
            pieces.bar(whole_number(row.get("added_bytes")) or 0, most, "f-clean", "added"),
            pieces.change(whole_number(row.get("added_delta_bytes"))),
            VERBS.get(str(row.get("kind")), str(row.get("kind"))),
            _text(row.get("comm")),
            _file_name(row),
        )
        for row in rows
    ]
    titles = ["added", "", "before the kill", "by", "process", "file"]
    return pieces.titled("What filled the page cache", pieces.table(titles, made, (0, 2), 1))


def _files(document: Document) -> Html:
    rows = [row for row in rows_of(document, "top_files") if row.get("resident_bytes")][:ROWS]
    most = max((whole_number(row.get("resident_bytes")) or 0 for row in rows), default=0)
    made = [
        (
            size(whole_number(row.get("resident_bytes"))),
            pieces.bar(whole_number(row.get("resident_bytes")) or 0, most, "f-clean", "cached"),
            _file_name(row),
            "deleted" if row.get("deleted") else "",
        )
        for row in rows
    ]
    titles = ["cached", "", "file", ""]
    return pieces.titled("Files in the page cache", pieces.table(titles, made, (0,), 1))


def _file_name(row: Document) -> Html:
    return pieces.path(_text(row.get("container_path") or row.get("path")))


def _go(document: Document) -> Html:
    rows = rows_of(document, "go")[:ROWS]
    made = [
        (
            f"{_text(row.get('comm'))} ({_text(row.get('pid'))})",
            _text(row.get("version")),
            size(whole_number(row.get("heap_live_bytes"))),
            size(whole_number(row.get("heap_in_use_bytes"))),
            size(whole_number(row.get("heap_goal_bytes"))),
            "off" if row.get("gogc") == -1 else _text(row.get("gogc")),
            size(whole_number(row.get("gomemlimit_bytes"))),
            _text(row.get("gomaxprocs")),
        )
        for row in rows
    ]
    titles = ["program", "Go", "live", "in use", "goal", "GOGC", "GOMEMLIMIT", "GOMAXPROCS"]
    remarks = [_text(each) for row in rows for each in _texts(row, "remarks")]
    return pieces.titled(
        "Go runtimes", pieces.table(titles, made, (2, 3, 4, 5, 6, 7)), pieces.bullets(remarks)
    )


def _gaps(document: Document) -> Html:
    return pieces.titled("Not known", pieces.bullets(_texts(document, "gaps")))


def _texts(document: Document, key: str) -> list[str]:
    found = document.get(key)
    return [_text(each) for each in found[:ROWS]] if isinstance(found, list) else []


def _text(value: Any) -> str:
    return "-" if value is None else str(value)
