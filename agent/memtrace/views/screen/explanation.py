"""A verdict as lines of text: the claim, what it rests on, what to do, what else may be."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from memtrace.model import words
from memtrace.model.shapes import Container
from memtrace.views.screen.cells import shown
from memtrace.views.text import ELLIPSIS

_LEAST = 20
_MORE = f" {ELLIPSIS}"
_VALUE = 12  # columns of an evidence's amount


def wrapped(text: str, width: int, most: int | None = None) -> list[str]:
    """Return the text in lines, safe to draw; of more than `most` the last ends in a whole word."""
    width = max(width, _LEAST)
    lines = textwrap.wrap(shown(text), width) or [""]
    if most is None or len(lines) <= most:
        return lines
    if most <= 0:
        return []
    last = textwrap.wrap(lines[most - 1], width - len(_MORE))[0]
    return [*lines[: most - 1], last + _MORE]


def explanation(container: Container, width: int) -> Iterator[str]:
    """Yield the lines of one container's verdict."""
    verdict = container.verdict
    yield from wrapped(words.verdict_in_full(verdict), width)
    yield ""
    for advice in verdict.advice:
        yield from wrapped(f"advice: {words.advice_in_full(advice)}", width)
        if advice.paste:
            yield from wrapped(f"  {advice.paste}", width)
    if not verdict.advice:
        yield "advice: none"
    yield ""
    yield f"It rests on (confidence {verdict.confidence:.0%}):"
    for evidence in verdict.evidence:
        first, *more = wrapped(evidence.text, width - _VALUE)
        yield f"{shown(words.evidence_value(evidence)):>{_VALUE - 2}}  {first}"
        yield from (" " * _VALUE + rest for rest in more)
    if explained := words.working_set(container.working_set):
        yield ""
        yield from wrapped(explained, width)
    if verdict.others:
        others = (words.VERDICTS.get(other, other) for other in verdict.others)
        yield from wrapped(f"also possible: {', '.join(others)}", width)
