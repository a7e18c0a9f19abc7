"""One boot per kernel and script, whatever becomes of it, and what its subjects came to.

A guest script reports {features, checks, lacks}; a subject is what the checks' names have
before the colon. Results are also noted for docs/kernels.md (tests/noted.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.noted import Column, column
from tests.outcomes import Unavailable
from tests.vm.harness import GuestError, GuestResult
from tests.vm.kernels import GuestKernel, fetch
from tools.kernels_doc import switched_on


@dataclass(frozen=True)
class Report:
    """What a script reported of a kernel; `said` is all of it."""

    column: Column
    checks: dict[str, dict[str, Any]]
    said: dict[str, Any]

    def wrong(self, subject: str) -> dict[str, dict[str, Any]]:
        """The subject's checks that did not come out; fails when it has none."""
        mine = {name: check for name, check in self.checks.items() if subject_of(name) == subject}
        assert mine, f"the guest checked nothing of {subject}"
        return {name: check for name, check in mine.items() if check["got"] != check["expected"]}


class Guests:
    """The boots of one test module."""

    def __init__(self) -> None:
        self._known: dict[GuestKernel, Report | GuestError | Unavailable] = {}

    def report(self, kernel: GuestKernel, run: Callable[[], GuestResult]) -> Report:
        """The report of `run`, which boots the kernel: once, also when it failed."""
        if kernel not in self._known:
            self._known[kernel] = boot(kernel, run)
        found = self._known[kernel]
        if isinstance(found, Report):
            return found
        raise found


def boot(kernel: GuestKernel, run: Callable[[], GuestResult]) -> Report | GuestError | Unavailable:
    """Boot and note what the guest said of itself."""
    try:
        result = run()
    except (GuestError, Unavailable) as error:
        return error
    print(result.console)
    noted = column(fetch(kernel).release, "v2")
    noted.features = switched_on(noted.features, result.json["features"])
    noted.lacks.update(result.json["lacks"])
    return Report(noted, result.json["checks"], result.json)


def subject_of(check: str) -> str:
    """What a check is about."""
    return check.split(":")[0]
