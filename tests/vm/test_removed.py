"""Removed cgroups keep their figures on kernels that charge what they leave to their parent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.vm.harness import run_guest
from tests.vm.kernels import KERNELS, NEWEST

SCRIPT = Path(__file__).parent / "removed_cgroups.py"
SHARED = Path(__file__).parent / "core_workloads.py"
DISK_MEGABYTES = 256
SECONDS = 400


@pytest.fixture(scope="module")
def checks() -> dict[str, Any]:
    """One boot: every check with what was expected and what memtrace said."""
    (kernel,) = [kernel for kernel in KERNELS if kernel.version == NEWEST]
    files = {"/guest/core_workloads.py": SHARED.read_bytes()}
    result = run_guest(kernel, SCRIPT, files, disk_megabytes=DISK_MEGABYTES, timeout=SECONDS)
    print(result.console)
    found: dict[str, Any] = result.json
    return found


@pytest.mark.parametrize(
    "subject",
    [
        "removed",
        "partly",
        "all",
        "nested",
        "nested inner",
        "nested middle",
        "ephemeral",
        "folded",
        "before",
        "before, partly",
        "before, inherited",
        "before, all",
        "nothing lost",
        "memtrace",
    ],
)
def test_removed_cgroups_are_exact(checks: dict[str, Any], subject: str) -> None:
    """The removed one's row is what the kernel has left of it, and those above are exact."""
    mine = {name: check for name, check in checks.items() if name.split(":")[0] == subject}
    assert mine
    wrong = {name: check for name, check in mine.items() if check["got"] != check["expected"]}
    assert not wrong
