"""How many processes were killed for want of memory, by name: outlives containers and the agent.

Bounded: of many names those killed latest are kept, the others are one sum.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from memtrace.host.files import read_beneath, replace_file
from memtrace.kills import KillTotal

FILE = "oom_totals.json"
VERSION = 1
MOST_NAMES = 500
MOST_KINDS = 16
LONGEST = 256
REST = ("", "", "", "other")
_LIMIT = 4 << 20

Whose: TypeAlias = tuple[str, str, str, str]


@dataclass(slots=True)
class _Total:
    counts: Counter[str] = field(default_factory=Counter)
    last: float = 0.0
    kill: str = ""
    cause: str = ""


class KillTotals:
    """The totals, kept in the state directory. None of its methods raises.

    `problem`: why they cannot be kept; empty when they can.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._totals = _parse(read_beneath(directory, FILE, _LIMIT, os.geteuid()))
        self._unsaved = False
        self.problem = ""

    def add(self, whose: Whose, kill: str, cause: str, count: int, time: float) -> None:
        """Count processes that were killed together at `time` (seconds since the epoch)."""
        total = self._totals.pop(whose, None) or _Total()
        total.counts[kill] += count
        total.last, total.kill, total.cause = time, kill, cause
        self._totals[whose] = total  # now the latest
        self._unsaved = True
        while len(self._totals) > MOST_NAMES:
            self._fold(next(each for each in self._totals if each != REST))

    def rows(self) -> tuple[KillTotal, ...]:
        """All of them, those killed longest ago first."""
        return tuple(
            KillTotal(whose, dict(each.counts), each.last, each.kill, each.cause)
            for whose, each in list(self._totals.items())
        )

    def save(self) -> None:
        """Keep them, if there is something new or it did not work the last time."""
        if not self._unsaved:
            return
        rows = [[*row.whose, row.counts, row.last, row.kill, row.cause] for row in self.rows()]
        data = json.dumps({"version": VERSION, "totals": rows}, separators=(",", ":"))
        try:
            self._write(data.encode())
        except OSError as error:
            self.problem = (
                f"counts of kills would begin anew with memtrace: {self._directory} cannot be "
                f"written: {error.strerror}"
            )
        else:
            self._unsaved, self.problem = False, ""

    def _fold(self, whose: Whose) -> None:
        rest = self._totals.setdefault(REST, _Total())
        rest.counts.update(self._totals.pop(whose).counts)

    def _write(self, data: bytes) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            replace_file(folder, FILE, data)
        finally:
            os.close(folder)


def _parse(data: bytes | None) -> dict[Whose, _Total]:
    """What was saved; nothing when that makes no sense."""
    try:
        document: Any = json.loads(data or b"")
        if document["version"] != VERSION:
            return {}
        return dict(map(_row, document["totals"][:MOST_NAMES]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _row(row: Any) -> tuple[Whose, _Total]:
    namespace, pod, container, cgroup, counts, last, kill, cause = row
    words = [namespace, pod, container, cgroup, kill, cause, *counts]
    if not all(isinstance(word, str) and len(word) <= LONGEST for word in words):
        raise ValueError("names are short text")
    if len(counts) > MOST_KINDS or not all(_whole(count) for count in counts.values()):
        raise ValueError("counts are numbers")
    total = _Total(Counter(counts), float(last), kill, cause)
    return (namespace, pod, container, cgroup), total


def _whole(count: Any) -> bool:
    return isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 1 << 53
