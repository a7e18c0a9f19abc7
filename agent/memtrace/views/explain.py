"""What was seen of one container, as text for a ticket or as JSON, schema memtrace.explain/1.

Text is 80 columns wide wherever it is printed, so that it can be quoted. Draws; judges nothing.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from memtrace.model import words
from memtrace.model.observation import Observation
from memtrace.model.selection import display_name
from memtrace.model.shapes import Advice, Container, Evidence, MemoryFigures
from memtrace.model.units import size
from memtrace.views.json import identity_document, line_of, verdict_document
from memtrace.views.text import printable

SCHEMA = "memtrace.explain/1"
WIDTH = 80
_INDENT = "  "
_AMOUNT = 12  # columns of an evidence's value


def render_json(target: str, seen: Observation) -> str:
    """Return one line, without its newline."""
    container = seen.container
    return line_of(
        {
            "schema": SCHEMA,
            "time": seen.snapshot.time,
            "node": seen.snapshot.node,
            "target": target,
            "container": _container(container),
            "observed_seconds": round(seen.seconds, 3),
            "verdict": verdict_document(container.verdict),
        }
    )


def _container(container: Container) -> dict[str, Any]:
    return {
        **identity_document(container.source),
        **{name: getattr(container.memory, name) for name in MemoryFigures._fields},
    }


def render_text(seen: Observation) -> str:
    """Return who it is, the verdict, what it rests on, what to change, and how sure that is."""
    return "".join(f"{line}\n" for line in _lines(seen))


def _lines(seen: Observation) -> Iterator[str]:
    container, verdict = seen.container, seen.container.verdict
    yield from _wrapped(_heading(container))
    yield from _wrapped(f"cgroup {container.source.path}")
    yield from _wrapped(f"{_amounts(container)}; watched for {_seconds(seen.seconds)}")
    yield ""
    yield from _wrapped(f"{verdict.severity.upper()}: {verdict.claim}")
    yield from _wrapped(f"({verdict.id}, {verdict.confidence:.0%} sure)")
    if verdict.evidence:
        yield ""
        yield "It rests on:"
        for evidence in verdict.evidence:
            yield from _evidence(evidence)
    if verdict.advice:
        yield ""
        yield "What to do:"
        for advice in verdict.advice:
            yield from _advice(advice)
    if verdict.others:
        others = "; ".join(words.VERDICTS.get(other, other) for other in verdict.others)
        yield ""
        yield from _wrapped(f"Also true of it: {others}.")


def _heading(container: Container) -> str:
    identity = container.source.identity
    parts = [display_name(container), identity.kind]
    for word, value in (("in namespace", identity.namespace), ("image", identity.image)):
        if value:
            parts.append(f"{word} {value}")
    if container.source.state == "removed":
        parts.append("removed")
    return ", ".join(parts)


def _amounts(container: Container) -> str:
    memory = container.memory
    limit = f"limit {size(memory.limit_bytes)}" if memory.limit_bytes else "no limit"
    return f"{size(memory.usage_bytes)} in use, {limit}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 1 else "a moment"


def _evidence(evidence: Evidence) -> Iterator[str]:
    value = printable(words.evidence_value(evidence))
    yield from textwrap.wrap(
        printable(evidence.text),
        WIDTH,
        initial_indent=f"{value:>{_AMOUNT}}  ",
        subsequent_indent=" " * (_AMOUNT + 2),
        break_on_hyphens=False,
    ) or [value]


def _advice(advice: Advice) -> Iterator[str]:
    yield from _wrapped(f"- {words.advice_in_full(advice)}", _INDENT)
    if advice.paste:
        yield f"{_INDENT}{_INDENT}{printable(advice.paste)}"


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        printable(text), WIDTH, subsequent_indent=indent, break_on_hyphens=False
    ) or [""]
