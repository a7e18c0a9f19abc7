"""What memtrace said of each story, kept in build/stories for docs/stories.md, and one table of it.

tools/stories_doc.py makes the document of it. A row is written as soon as its story was heard, so
that a wrong one can be seen, too. Asserts what a story must hold: the first verdict, and figures
within a tenth of what the workload or the kernel says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

NOTES = Path(__file__).parents[1] / "build" / "stories"
NEAR = 0.1


@dataclass
class Figure:
    """A figure as memtrace said it, and as the workload or the kernel did."""

    name: str
    said: float | None
    truth: float
    unit: str = "bytes"

    @property
    def near(self) -> bool:
        """Whether it is within a tenth."""
        return self.said is not None and abs(self.said - self.truth) <= NEAR * abs(self.truth)


@dataclass
class Told:
    """One story: what was run, what was said, what was measured, what following it did."""

    story: str
    ran: str
    verdict: str = ""
    severity: str = ""
    claim: str = ""
    figures: list[Figure] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    helped: str = ""
    wrong: list[str] = field(default_factory=list)

    def heard(self, verdict: dict[str, Any], *expected: str) -> None:
        """The first verdict, which must be one of those expected."""
        self.verdict, self.severity = verdict["id"], verdict["severity"]
        self.claim = verdict["claim"]
        self.advice = [_words(each) for each in verdict["advice"]]
        self._must(verdict["id"] in expected, f"{verdict['id']} instead of {expected}")

    def figure(self, name: str, said: float | None, truth: float, unit: str = "bytes") -> None:
        """A figure that must be right."""
        figure = Figure(name, said, truth, unit)
        self.figures.append(figure)
        self._must(figure.near, f"{name}: {said} said, {truth} true")

    def after(self, words: str) -> None:
        """What following the advice did."""
        self.helped = words
        self._write()

    def _must(self, right: bool, sentence: str) -> None:
        if not right:
            self.wrong.append(sentence)
        self._write()
        assert right, f"{self.story}: {sentence}; it said: {self.claim}"

    def _write(self) -> None:
        NOTES.mkdir(parents=True, exist_ok=True)
        name = "".join(letter if letter.isalnum() else "-" for letter in self.story.lower())
        (NOTES / f"{name}.json").write_text(json.dumps(asdict(self), indent=1) + "\n")
        _HEARD[self.story] = self


_HEARD: dict[str, Told] = {}


def _of_this_run() -> list[Told]:
    """Every story that was heard, in order."""
    return [_HEARD[story] for story in sorted(_HEARD)]


def _table(rows: list[Told]) -> Iterator[str]:
    """One line for each story, for a terminal."""
    for row in rows:
        figures = "; ".join(f"{each.name} {amounts(each)}" for each in row.figures)
        mark = "WRONG " if row.wrong else ""
        yield f"{row.story}: {mark}{row.verdict} ({row.severity}) {figures}"


def amounts(figure: Figure) -> str:
    """Said and true."""
    return f"{amount(figure.said, figure.unit)} (true: {amount(figure.truth, figure.unit)})"


def amount(value: float | None, unit: str) -> str:
    """A figure in words."""
    if value is None:
        return "unknown"
    return f"{value / (1 << 20):.1f} MiB" if unit == "bytes" else f"{value:g} {unit}".strip()


def _words(advice: dict[str, Any]) -> str:
    amount = advice["to"]
    if isinstance(amount, int) and amount > 1 << 20:
        amount = f"{amount >> 20} MiB"
    return str(advice["setting"]) if amount is None else f"{advice['setting']} {amount}"


def told_in_this_run(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, if there were stories."""
    if _HEARD:
        terminalreporter.section("stories: first verdict, and what was said (and is true)")
    for line in _table(_of_this_run()):
        terminalreporter.line(line)
