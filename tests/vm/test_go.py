"""Go programs on other kernels: each collection told, and code named; or why it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kernel.harness.golang import Binary, Functions, build
from tests.vm.guests import Guests, Report
from tests.vm.harness import run_guest
from tests.vm.kernels import GuestKernel

HERE = Path(__file__).parent
SCRIPT = HERE / "go_programs.py"
SECONDS = 180

GUESTS = Guests()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Binary, Binary]:
    """One that collects and one that writes."""
    place = tmp_path_factory.mktemp("go")
    return build("collect", place), build("write", place)


@pytest.fixture
def report(newer_guest_kernel: GuestKernel, programs: tuple[Binary, Binary]) -> Report:
    """One boot per kernel."""
    collect, write = programs
    functions = Functions(write)
    places = {name: functions.span(name) for name in ("main.writeSmall", "main.writeLarge")}
    files: dict[str, Path | bytes] = {
        "/guest/core_workloads.py": (HERE / "core_workloads.py").read_bytes(),
        "/bin/collect": collect.path,
        "/bin/write": write.path,
    }
    return GUESTS.report(
        newer_guest_kernel,
        lambda: run_guest(
            newer_guest_kernel,
            SCRIPT,
            files,
            arguments=(json.dumps(collect.places), json.dumps(places)),
            disk_megabytes=256,
            timeout=SECONDS,
        ),
    )


@pytest.mark.parametrize("subject", ["go_gc", "stacks"])
def test_go_programs_are_followed(report: Report, subject: str) -> None:
    """As often as they collect, and as much as their functions write."""
    assert not report.wrong(subject)
