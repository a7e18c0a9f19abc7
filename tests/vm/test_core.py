"""The core workloads are exact to the page on other kernels with cgroup v2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.vm.harness import run_guest
from tests.vm.kernels import GuestKernel

SCRIPT = Path(__file__).parent / "core_workloads.py"
DISK_MEGABYTES = 256
SECONDS = 240

GUESTS: dict[GuestKernel, dict[str, Any]] = {}


@pytest.fixture
def checks(guest_kernel: GuestKernel) -> dict[str, Any]:
    """One boot per kernel: every check with what was expected and what memtrace said."""
    if guest_kernel not in GUESTS:
        result = run_guest(guest_kernel, SCRIPT, disk_megabytes=DISK_MEGABYTES, timeout=SECONDS)
        print(result.console)
        GUESTS[guest_kernel] = result.json
    return GUESTS[guest_kernel]


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
        "more",
        "older",
        "parent",
        "removed cgroup",
        "nothing lost",
        "cgroup mode",
        "memtrace",
    ],
)
def test_core_workload_is_exact(checks: dict[str, Any], subject: str) -> None:
    """Ledger, drivers, kinds and reasons are what the workload did and memory.stat says."""
    mine = {name: check for name, check in checks.items() if name.split(":")[0] == subject}
    assert mine
    wrong = {name: check for name, check in mine.items() if check["got"] != check["expected"]}
    assert not wrong
