"""Every figure of memory, and stalls, on other kernels with cgroup v2: swap and huge pages too."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.kernel.harness.workloads import Workloads
from tests.vm.guests import Guests, Report
from tests.vm.harness import GuestResult, run_guest
from tests.vm.kernels import GuestKernel

SCRIPT = Path(__file__).parent / "composition.py"
SHARED = Path(__file__).parent / "core_workloads.py"
DISK_MEGABYTES = 384
SECONDS = 240

GUESTS = Guests()


@pytest.fixture
def report(newer_guest_kernel: GuestKernel, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Every check with what was expected and what memtrace said."""

    def run() -> GuestResult:
        workloads = Workloads(tmp_path_factory.mktemp("workloads"))
        pyroute2 = importlib.util.find_spec("pyroute2")
        assert pyroute2 is not None
        assert pyroute2.origin is not None
        files = {
            "/guest/core_workloads.py": SHARED.read_bytes(),
            "/bin/kernel_memory": workloads["kernel_memory"],
            "/packages/pyroute2": Path(pyroute2.origin).parent,
        }
        return run_guest(
            newer_guest_kernel, SCRIPT, files, disk_megabytes=DISK_MEGABYTES, timeout=SECONDS
        )

    return GUESTS.report(newer_guest_kernel, run)


@pytest.mark.parametrize(
    "subject",
    [
        "threads",
        "tables",
        "percpu",
        "sockets",
        "swap",
        "huge",
        "huge-charged",
        "stalls",
        "memtrace",
    ],
)
def test_memory_is_what_the_kernel_and_the_workload_say(report: Report, subject: str) -> None:
    """Each figure equals the kernel's own, and what is left unexplained is stock."""
    assert not report.wrong(subject)
