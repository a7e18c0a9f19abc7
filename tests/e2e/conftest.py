"""Fixtures of the end-to-end tests: the kernel tests' own, as they are; the stories' table."""

from __future__ import annotations

import pytest

from tests.kernel.conftest import disk, memtrace, rooms, workloads
from tests.told import told_in_this_run

__all__ = ["disk", "memtrace", "rooms", "workloads"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the stories that were run."""
    told_in_this_run(terminalreporter)
