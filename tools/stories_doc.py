#!/usr/bin/env python3
"""Make docs/stories.md, story x verdict x evidence, out of what test runs noted in build/stories.

`make check-e2e-all` notes (tests/told.py); `make stories-doc` renders what is there.
A story that was not run since stays as it was noted last. Runs no test itself. Standard library
only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NOTES = ROOT / "build" / "stories"
DOCUMENT = ROOT / "docs" / "stories.md"

Story = dict[str, Any]  # tests/told.py: Told

HEAD = """\
# Stories

What memtrace says of workloads with a known cause, as tests ran them on a real kernel, each in a
cgroup of its own, and what following its advice did. Made by `make stories-doc` from what
`make check-e2e-all` noted (tests/e2e/test_stories_*.py; tests/vm/test_stories.py in a guest);
not written by hand. A run prints the same table.

The first verdict and each figure are asserted: a figure is what `memtrace explain` or the record of
the kill said, in brackets what the workload or the kernel says; more than a tenth apart fails.
"""


def stories(notes: Path = NOTES) -> list[Story]:
    """Every story that was noted, by name. Raises OSError, ValueError."""
    found: list[Story] = [json.loads(path.read_text()) for path in notes.glob("*.json")]
    return sorted(found, key=lambda story: str(story["story"]))


def render(found: Iterable[Story]) -> str:
    """The document."""
    rows = list(found)
    plain = [row for row in rows if not row["story"].startswith("control")]
    controls = [row for row in rows if row["story"].startswith("control")]
    parts = [HEAD, *_table(plain), "", *_controls(controls), "", *_claims(rows)]
    return "\n".join(parts) + "\n"


def _table(rows: Iterable[Story]) -> Iterator[str]:
    yield "| story | what ran | first verdict | said (true) | the advice, followed |"
    yield "| --- | --- | --- | --- | --- |"
    for row in rows:
        cells = (row["story"], row["ran"], _verdict(row), _figures(row), row["helped"] or "-")
        yield f"| {' | '.join(cells)} |"


def _controls(rows: Iterable[Story]) -> Iterator[str]:
    yield "## Controls: what must raise no false alarm"
    yield ""
    yield "| what ran | first verdict | said (true) |"
    yield "| --- | --- | --- |"
    for row in rows:
        yield f"| {row['ran']} | {_verdict(row)} | {_figures(row) or '-'} |"


def _claims(rows: Iterable[Story]) -> Iterator[str]:
    yield "## In its words"
    for row in rows:
        yield ""
        yield f"- **{row['story']}**: {row['claim']}"
        if row["advice"]:
            yield f"  Advice: {'; '.join(row['advice'])}."


def _verdict(row: Story) -> str:
    wrong = " **WRONG**" if row["wrong"] else ""
    return f"{row['verdict']} ({row['severity']}){wrong}"


def _figures(row: Story) -> str:
    return ", ".join(
        f"{each['name']} {_amount(each['said'], each['unit'])} "
        f"({_amount(each['truth'], each['unit'])})"
        for each in row["figures"]
    )


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "unknown"
    if unit == "bytes":
        return f"{value / (1 << 20):.1f} MiB"
    return f"{value:,.10g} {unit}".strip()


def main() -> int:
    """Write the document, or say what is missing."""
    found = stories()
    if not found:
        print("stories-doc: no story was run here; make check-e2e-all does", file=sys.stderr)
        return 1
    DOCUMENT.write_text(render(found))
    print(f"{DOCUMENT.relative_to(ROOT)}: {len(found)} stories")
    return 0


if __name__ == "__main__":
    sys.exit(main())
