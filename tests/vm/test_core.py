"""The core workloads are exact to the page on other kernels with cgroup v2."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.guests import Guests, Report
from tests.vm.harness import run_guest
from tests.vm.kernels import GuestKernel

SCRIPT = Path(__file__).parent / "core_workloads.py"
DISK_MEGABYTES = 256
SECONDS = 240

GUESTS = Guests()


@pytest.fixture
def report(guest_kernel: GuestKernel) -> Report:
    """Every check with what was expected and what memtrace said."""
    return GUESTS.report(
        guest_kernel,
        lambda: run_guest(guest_kernel, SCRIPT, disk_megabytes=DISK_MEGABYTES, timeout=SECONDS),
    )


@pytest.mark.parametrize(
    "subject",
    [
        "write-4k",
        "write-1m",
        "write-ramfs",
        "read-cold",
        "mmap-cold",
        "unlink",
        "truncate",
        "reclaim",
        "tmpfs",
        "hugetlb",
        "processes",
        "more",
        "older",
        "parent",
        "removed cgroup",
        "nothing lost",
        "cgroup mode",
        "memtrace",
    ],
)
def test_core_workload_is_exact(report: Report, subject: str) -> None:
    """Ledger, drivers, kinds and reasons are what the workload did and memory.stat says."""
    assert not report.wrong(subject)
