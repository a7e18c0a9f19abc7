"""Fixtures of the end-to-end tests: the kernel tests' own, as they are; the stories' table."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.e2e.soak import Soaking
from tests.kernel.conftest import disk, memtrace, rooms, workloads
from tests.kernel.harness.files import disk_directory
from tests.told import told_in_this_run

ALL = os.environ.get("MEMTRACE_ALL_GUESTS", "") not in ("", "0")  # make check-e2e-all
collect_ignore = [] if ALL else ["test_systemd_node.py"]
"""Takes minutes, and a Debian to boot."""
SOAK = "test_soak.py"
SOAK_SECONDS = 300.0

__all__ = ["disk", "memtrace", "rooms", "workloads"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for the soak comes last."""
    items.sort(key=lambda item: item.path.name == SOAK)


@pytest.fixture(scope="session", autouse=True)
def soaking(request: pytest.FixtureRequest) -> Iterator[Soaking | None]:
    """Begun before the first test, so that it takes no time of its own; None if nobody waits."""
    if not any(item.path.name == SOAK for item in request.session.items):
        yield None
        return
    with disk_directory() as directory:
        begun = Soaking(directory, SOAK_SECONDS)
        yield begun
        begun.end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the stories that were run."""
    told_in_this_run(terminalreporter)
