"""What `memtrace doctor` found, as text or JSON. Checks nothing itself."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from memtrace.model.checks import Check
from memtrace.views.json import line_of
from memtrace.views.text import columns, cut, pad, printable

SCHEMA = "memtrace.doctor/1"
_MARKS = {"ok": "ok", "off": "off", "missing": "MISSING"}
_STATUS_WIDTH = 8


def render_json(checks: Sequence[Check]) -> str:
    """Return one line: `ok` (memtrace can start) and all checks."""
    return line_of({"schema": SCHEMA, "ok": can_start(checks), "checks": [*map(asdict, checks)]})


def render_text(checks: Sequence[Check], width: int = 80) -> str:
    """Return one paragraph per check, with cost and remedy where something is lacking."""
    name_width = min(24, max((columns(printable(check.name)) for check in checks), default=0))
    lines = [line for check in checks for line in _check(check, name_width, width)]
    return "".join(f"{line.rstrip()}\n" for line in [*lines, *_conclusion(checks, width)])


def can_start(checks: Iterable[Check]) -> bool:
    """Tell whether every required check is ok."""
    return all(check.status == "ok" for check in checks if check.required)


def _check(check: Check, name_width: int, width: int) -> Iterable[str]:
    name = pad(cut(printable(check.name), name_width), name_width)
    head = f"{name}  {pad(_MARKS[check.status], _STATUS_WIDTH)}"
    indent = " " * columns(head)
    yield from _paragraph(head, printable(check.detail), indent, width)
    if check.status == "ok":
        return
    if check.costs:
        yield from _paragraph(indent, f"costs: {printable(check.costs)}", indent, width)
    if check.remedy:
        yield from _paragraph(indent, f"remedy: {printable(check.remedy)}", indent, width)


def _paragraph(head: str, text: str, indent: str, width: int) -> list[str]:
    if not text:
        return [head]
    room = max(20, width - len(indent))
    first, *rest = textwrap.wrap(text, room) or [""]
    return [head + first, *(indent + line for line in rest)]


def _conclusion(checks: Sequence[Check], width: int) -> list[str]:
    lacking = [printable(c.name) for c in checks if c.required and c.status != "ok"]
    if lacking:
        return textwrap.wrap(f"memtrace cannot start: {', '.join(lacking)} is required.", width)
    off = sum(check.status != "ok" for check in checks)
    extent = f"; {off} of {len(checks)} features off" if off else " with every feature"
    return [f"memtrace can start{extent}."]
