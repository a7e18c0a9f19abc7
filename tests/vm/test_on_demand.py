"""What is watched or counted on demand, on other kernels with cgroup v2; or why it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.harness.workloads import Workloads
from tests.vm.guests import Guests, Report
from tests.vm.harness import GuestResult, run_guest
from tests.vm.kernels import GuestKernel

HERE = Path(__file__).parent
SCRIPT = HERE / "on_demand.py"
SHARED = ("core_workloads.py", "slab_census.py")
DISK_MEGABYTES = 256
SECONDS = 300

GUESTS = Guests()


@pytest.fixture
def report(newer_guest_kernel: GuestKernel, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Every check with what was expected and what memtrace said."""

    def run() -> GuestResult:
        workloads = Workloads(tmp_path_factory.mktemp("workloads"))
        files = {
            **{f"/guest/{name}": (HERE / name).read_bytes() for name in SHARED},
            "/bin/lookups": workloads["lookups"],
        }
        return run_guest(
            newer_guest_kernel, SCRIPT, files, disk_megabytes=DISK_MEGABYTES, timeout=SECONDS
        )

    return GUESTS.report(newer_guest_kernel, run)


@pytest.mark.parametrize(
    "subject",
    [
        "culprits",
        "touchers",
        "mappers",
        "dirtiers",
        "refaults",
        "reasons",
        "watching",
        "census",
        "verify",
        "referee",
    ],
)
def test_on_demand_is_what_the_workload_and_the_kernel_say(report: Report, subject: str) -> None:
    """Named and counted; where the kernel cannot, unknown and with a reason, never 0."""
    assert not report.wrong(subject)
