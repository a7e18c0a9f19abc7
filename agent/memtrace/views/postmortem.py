"""A post-mortem as text, to be read like an incident report. Draws the document alone.

Names in it come from strangers: everything is escaped. Missing keys are dashes: the record
may be another version's.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from memtrace.model.shapes import Advice
from memtrace.model.units import percent, short_size, signed_size, size
from memtrace.model.words import REASON_OF_KILL, VERBS, advice_in_full
from memtrace.views.text import cut_front, pad, printable

Document = dict[str, Any]

WIDTH = 80
_INDENT = "  "
_MOMENTS = 12
_BAR = 60
_PARTS = (
    ("#", "anon_bytes", "anonymous (heap, stacks)"),
    ("s", "shmem_bytes", "shared memory, tmpfs"),
    ("d", "unwritten_bytes", "file data not yet written"),
    ("=", "clean_bytes", "clean page cache"),
    ("k", "kernel_bytes", "kernel memory"),
    ("n", "sock_bytes", "network buffers"),
)
_COLUMNS = (
    ("usage", "usage_bytes"),
    ("anon", "anon_bytes"),
    ("file", "file_bytes"),
    ("shmem", "shmem_bytes"),
    ("kernel", "kernel_bytes"),
    ("dirty", "dirty_bytes"),
    ("swap", "swap_bytes"),
)
_ROWS = 8
_MORE_VICTIMS = 20


def render(document: Document, width: int = WIDTH) -> str:
    """Return the report, each line at most `width` columns where words allow."""
    parts = (
        _heading(document),
        _section("VERDICT", _verdict(document, width)),
        _section(_composition_title(document), _composition(document)),
        _section("WHO", _who(document, width)),
        _section("THE TIME BEFORE", _timeline(document)),
        _section("CAUSES: what filled the page cache", _causes(document, width)),
        _section("FILES in the page cache", _files(document, width)),
        _section("GO RUNTIMES", _go(document, width)),
        _section("ADVICE", _advice(document, width)),
        _section("NOT KNOWN", _gaps(document, width)),
    )
    return "\n".join(part for part in parts if part)


def summary(document: Document) -> str:
    """Return one line: when, which kill, who, why."""
    when = _when(document.get("time"))
    victim = _of(document, "victim")
    who = f"{_printed(victim.get('comm'))} ({_printed(victim.get('pid'))})" if victim else "-"
    more = f" +{document['kills'] - 1}" if _number(document.get("kills"), 1) > 1 else ""
    limit = short_size(_of(document, "oom_cgroup").get("limit"))
    kill = pad(_printed(document.get("kill")), 9)
    name = _printed(document.get("id"))
    return f"{name}  {when}  {kill}  {limit:>6}  {_where(document)}  {who}{more}"


def _section(title: str, lines: Iterator[str]) -> str:
    body = "\n".join(f"{_INDENT}{line}".rstrip() for line in lines)
    return f"{title}\n{body}\n" if body else ""


def _go(document: Document, width: int) -> Iterator[str]:
    for process in _rows(document, "go"):
        yield from _wrapped(_runtime(process), width)
        remarks = process.get("remarks")
        for remark in remarks if isinstance(remarks, list) else []:
            yield from _wrapped(f"  - {remark}", width)


def _runtime(process: Document) -> str:
    live, use, goal, limit = (
        _size(process.get(name))
        for name in ("heap_live_bytes", "heap_in_use_bytes", "heap_goal_bytes", "gomemlimit_bytes")
    )
    gogc, age = process.get("gogc"), _number(process.get("age_seconds"), 0)
    who = ", ".join(_printed(process.get(key)) for key in ("pid", "version"))
    return (
        f"{_printed(process.get('comm'))} ({who}): heap live {live} of a goal of {goal}, in use "
        f"{use}, GOGC {'off' if gogc == -1 else _printed(gogc)}, GOMEMLIMIT "
        f"{'none' if limit == '-' and live != '-' else limit}, GOMAXPROCS "
        f"{_printed(process.get('gomaxprocs'))}; "
        + (f"{age:.1f} s before the kill" if age else "at the kill")
    )


def _size(amount: Any) -> str:
    return size(amount if isinstance(amount, int) else None)


def _heading(document: Document) -> str:
    kill = REASON_OF_KILL.get(str(document.get("kill")), "killed")
    late = " (seen late)" if document.get("seen_late") else ""
    node = _printed(document.get("node"))
    first = f"{_where(document)}: {kill}{late}"
    return (
        f"{first}\n{_when(document.get('time'))} on {node}, record {_printed(document.get('id'))}\n"
    )


def _where(document: Document) -> str:
    """Return whose memory it was: the victim's container, else the cgroup."""
    for place in (_of(document, "victim"), _of(document, "oom_cgroup")):
        names = [place.get(key) for key in ("namespace", "pod", "container")]
        known = [_printed(name) for name in names if name]
        if place.get("container"):
            return "/".join(known)
    place = _of(document, "oom_cgroup")
    path = place.get("path") or _of(document, "victim").get("cgroup")
    return _printed(path) if path else "somewhere"


def _verdict(document: Document, width: int) -> Iterator[str]:
    verdict = _of(document, "verdict")
    yield from _wrapped(verdict.get("claim"), width)
    sure = f"{round(100 * _number(verdict.get('confidence'), 0))}%"
    yield f"({_printed(verdict.get('id'))}, {_printed(verdict.get('severity'))}, {sure} sure)"


def _composition_title(document: Document) -> str:
    composed = _of(document, "composition")
    source, age = composed.get("source"), _number(composed.get("age_seconds"), 0)
    when = {
        "kernel": " at the kill",
        "victims": " at the kill",
        "sample": f" {age:.1f} s before the kill",
    }
    return f"WHAT THE MEMORY WAS{when.get(str(source), '')}"


def _composition(document: Document) -> Iterator[str]:
    composed = dict(_of(document, "composition"))
    usage = composed.get("usage_bytes")
    unwritten = [composed.get(key) for key in ("dirty_bytes", "writeback_bytes")]
    known = [amount for amount in unwritten if isinstance(amount, int)]
    composed["unwritten_bytes"] = sum(known) if known else None
    limit = _of(document, "oom_cgroup").get("limit")
    if usage is None and composed.get("anon_bytes") is None:
        return
    yield f"[{_bar(composed, limit or usage)}]"
    yield f"{size(usage)} in use, limit {size(limit)}"
    for mark, key, name in _PARTS:
        amount = composed.get(key)
        if isinstance(amount, int) and amount:
            yield f"{mark}  {size(amount):>9}  {percent(amount, usage):>4}  {name}"
    rest = composed.get("unexplained_bytes")
    if isinstance(rest, int) and rest:
        yield f"   {size(rest):>9}  {percent(rest, usage):>4}  in none of these figures"


def _bar(composed: Document, whole: Any) -> str:
    """Return as many marks of each part as its share of the limit, or of the usage."""
    if not isinstance(whole, int) or whole <= 0:
        return "." * _BAR
    drawn, so_far = "", 0
    for mark, key, _ in _PARTS:
        amount = composed.get(key)
        so_far += max(0, amount) if isinstance(amount, int) else 0
        drawn += mark * (min(_BAR, round(_BAR * so_far / whole)) - len(drawn))
    return drawn.ljust(_BAR, ".")


def _who(document: Document, width: int) -> Iterator[str]:
    victims = _rows(document, "victims")
    for victim in victims[:_MORE_VICTIMS]:
        yield from _wrapped(f"killed: {_process(victim)}", width)
    if len(victims) > _MORE_VICTIMS:
        yield f"killed: {len(victims) - _MORE_VICTIMS} more"
    trigger = _of(document, "trigger")
    if trigger and (not victims or trigger.get("pid") != victims[0].get("pid")):
        word = "decided by" if document.get("kill") == "userspace" else "triggered by"
        yield from _wrapped(f"{word}: {_process(trigger)}", width)
    elif trigger:
        yield "triggered by: its own allocation"
    place = _of(document, "oom_cgroup")
    if place.get("path"):
        yield from _wrapped(f"out of memory: {_printed(place.get('path'))}", width)
    image = _of(document, "victim").get("image")
    if image:
        yield from _wrapped(f"image: {_printed(image)}", width)


def _process(process: Document) -> str:
    parts = [f"{_printed(process.get('comm'))} (pid {_printed(process.get('pid'))})"]
    if process.get("rss_bytes") is not None:
        parts.append(
            f"{size(process['rss_bytes'])} resident (anonymous "
            f"{size(process.get('rss_anon_bytes'))}, file {size(process.get('rss_file_bytes'))}, "
            f"shared {size(process.get('rss_shmem_bytes'))}), peak "
            f"{size(process.get('peak_rss_bytes'))}"
        )
    if process.get("disk_read_bytes") is not None:
        read, written = process["disk_read_bytes"], process.get("disk_write_bytes")
        parts.append(f"read {size(read)} from disk, wrote {size(written)}")
    parts.append(f"oom_score_adj {_printed(process.get('oom_score_adj'))}")
    return ", ".join(parts)


def _timeline(document: Document) -> Iterator[str]:
    history = _rows(document, "history")
    if not history:
        return
    yield "   before" + "".join(f"{title:>9}" for title, _ in _COLUMNS)
    step = max(1, -(-len(history) // _MOMENTS))
    chosen = history[::-1][::step][::-1]  # the last one always
    for moment in chosen:
        cells = "".join(f"{short_size(moment.get(key)):>9}" for _, key in _COLUMNS)
        yield f"{-_number(moment.get('seconds_before'), 0):>7.1f} s{cells}"


def _causes(document: Document, width: int) -> Iterator[str]:
    for row in _rows(document, "drivers")[:_ROWS]:
        verb = VERBS.get(str(row.get("kind")), str(row.get("kind")))
        who = f" by {_printed(row['comm'])}" if row.get("comm") else ""
        what = _printed(row.get("container_path") or row.get("path"))
        amount = f"{short_size(row.get('added_bytes')):>7} {_grown(row):>9}  {verb}{who} -> "
        yield amount + cut_front(what, max(20, width - len(_INDENT) - len(amount)))


def _grown(row: Document) -> str:
    delta = row.get("added_delta_bytes")
    return f"({signed_size(delta)})" if delta else ""


def _files(document: Document, width: int) -> Iterator[str]:
    for row in _rows(document, "top_files")[:_ROWS]:
        if row.get("resident_bytes"):
            what = _printed(row.get("container_path") or row.get("path"))
            name = cut_front(what, width - 24)
            gone = " (deleted)" if row.get("deleted") else ""
            yield f"{short_size(row['resident_bytes']):>7}  {name}{gone}"


def _advice(document: Document, width: int) -> Iterator[str]:
    for each in _rows(document, "advice"):
        advice = Advice(
            _printed(each.get("setting")),
            each.get("from"),
            each.get("to"),
            _printed(each.get("why")),
            _printed(each.get("cost") or "") if each.get("cost") else "",
        )
        yield from _wrapped(f"- {advice_in_full(advice)}", width)
        if each.get("paste"):
            yield f"    {_printed(each['paste'])}"


def _gaps(document: Document, width: int) -> Iterator[str]:
    gaps = document.get("gaps")
    for gap in gaps if isinstance(gaps, list) else []:
        yield from _wrapped(f"- {gap}", width)


def _wrapped(text: Any, width: int) -> list[str]:
    return textwrap.wrap(
        _printed(text), width - len(_INDENT), subsequent_indent=_INDENT, break_on_hyphens=False
    )


def _when(moment: Any) -> str:
    try:
        return datetime.fromtimestamp(float(moment), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (TypeError, ValueError, OverflowError, OSError):
        return "-"


def _of(document: Document, key: str) -> Document:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _rows(document: Document, key: str) -> list[Document]:
    found = document.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _number(value: Any, otherwise: float) -> float:
    return value if isinstance(value, int | float) else otherwise


def _printed(text: Any) -> str:
    return "-" if text is None else printable(str(text))
