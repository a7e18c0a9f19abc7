"""What a test run found out about each kernel, kept in build/kernels for docs/kernels.md.

One file per kernel; what a run did not try of it stays. tools/kernels_doc.py makes the
document of them.
Decides nothing about pass and fail.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tools.kernels_doc import over

NOTES = Path(__file__).parents[1] / "build" / "kernels"


@dataclass
class Column:
    """One kernel. `outcomes`: subject of tests -> passed or failed; `lacks`: subject -> why."""

    kernel: str
    release: str
    cgroup: str
    features: dict[str, Any] = field(default_factory=dict)
    lacks: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)

    def note(self, subject: str, report: pytest.TestReport) -> None:
        """Add a test's outcome: a subject has passed when each of its tests has."""
        if report.when == "call" and not report.skipped:
            before = self.outcomes.get(subject, "passed")
            self.outcomes[subject] = report.outcome if before == "passed" else before


def short(release: str) -> str:
    """5.10, from 5.10.0-46-cloud-amd64."""
    return ".".join(release.split(".")[:2])


_columns: dict[str, Column] = {}


def column(release: str, cgroup: str) -> Column:
    """The kernel's column of this run: "5.10.0-46-cloud-amd64", "v2"."""
    return _columns.setdefault(release, Column(short(release), release, cgroup))


def write(notes: Path = NOTES) -> None:
    """Write down this run's columns, over what an earlier run noted of the same release."""
    for each in _columns.values():
        notes.mkdir(parents=True, exist_ok=True)
        path = notes / f"{each.kernel}-{each.cgroup}.json"
        whole = over(json.loads(path.read_text()) if path.exists() else {}, asdict(each))
        path.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")
