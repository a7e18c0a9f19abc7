"""What holds for every test: markers by directory, root, and no silent skips.

A test under tests/kernel, tests/vm or tests/e2e carries that marker and is skipped
without root. With MEMTRACE_REQUIRE_KERNEL=1 a skip of such a test is a failure; the
state `unavailable` (tests/outcomes.py) stays what it is and is listed by name.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.outcomes import Unavailable

# A slow machine is no finding: pytest-timeout bounds every test.
settings.register_profile("memtrace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("memtrace")

HERE = Path(__file__).parent
PRIVILEGED = ("kernel", "vm", "e2e")
STRICT = os.environ.get("MEMTRACE_REQUIRE_KERNEL", "") not in ("", "0")


def directory_marker(path: Path) -> str | None:
    """The marker of the directory a test lies in, None for tests without privilege."""
    if not path.is_relative_to(HERE):
        return None
    first = path.relative_to(HERE).parts[0]
    return first if first in PRIVILEGED else None


def is_privileged(item: pytest.Item) -> bool:
    """Whether the test belongs to a set that must not be skipped in silence."""
    return any(item.get_closest_marker(name) for name in PRIVILEGED)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by directory, and skip the privileged ones without root."""
    for item in items:
        name = directory_marker(item.path)
        if name:
            item.add_marker(name)
        if os.geteuid() != 0 and is_privileged(item):
            item.add_marker(pytest.mark.skip(reason="needs root"))


def as_failure(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that keeps the reason."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"MEMTRACE_REQUIRE_KERNEL=1 and this was skipped: {reason}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Name what was unavailable; refuse other skips when nothing may be left out."""
    report = yield
    if not report.skipped or hasattr(report, "wasxfail"):
        return report
    if call.excinfo is not None and call.excinfo.errisinstance(Unavailable):
        report.user_properties.append(("unavailable", str(call.excinfo.value)))
    elif STRICT and is_privileged(item):
        as_failure(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A whole module that skips itself is a skip like any other."""
    report = yield
    if STRICT and report.skipped and directory_marker(collector.path):
        as_failure(report)
    return report


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Count unavailable tests apart from skipped ones."""
    if dict(getattr(report, "user_properties", ())).get("unavailable"):
        return "unavailable", "u", "UNAVAILABLE"
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List by name what could not be tried: neither passed nor failed."""
    reports = terminalreporter.stats.get("unavailable", [])
    if not reports:
        return
    terminalreporter.section("unavailable: neither passed nor failed")
    for report in reports:
        reason = dict(report.user_properties)["unavailable"].removeprefix("unavailable: ")
        terminalreporter.line(f"{report.nodeid}: {reason}")
