"""What holds for every guest test: time for a download, one run per kernel, its outcome noted."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests import noted
from tests.told import told_in_this_run
from tests.vm.guests import Report
from tests.vm.kernels import KERNELS

# A first run may download a kernel; the guest itself has a timeout of its own.
SECONDS = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Allow more time than other tests have, unless a test says how much."""
    for item in items:
        mine = item.path.is_relative_to(Path(__file__).parent)
        if mine and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))


ALL = os.environ.get("MEMTRACE_ALL_GUESTS", "") not in ("", "0")  # make check-vm-all
collect_ignore = [] if ALL else ["test_agent.py", "test_stories.py"]
"""Minutes long; check-long and check-e2e-all run them, too."""
PARAMETERS = {"guest_kernel": KERNELS, "newer_guest_kernel": KERNELS if ALL else KERNELS[-2:]}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`guest_kernel` is every kernel of the table, `newer_guest_kernel` the last two of it."""
    for name, kernels in PARAMETERS.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, kernels, ids=lambda kernel: kernel.version)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what became of a guest's subject."""
    made = yield
    arguments = getattr(item, "funcargs", {})
    report, subject = arguments.get("report"), arguments.get("subject")
    if isinstance(report, Report) and isinstance(subject, str):
        report.column.note(subject, made)
    return made


def pytest_sessionfinish() -> None:
    """Keep what was found for docs/kernels.md."""
    noted.write()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the stories that were run."""
    told_in_this_run(terminalreporter)
