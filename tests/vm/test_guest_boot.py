"""A guest kernel boots and has what the agent needs; failures there are seen here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.vm.harness import GuestError, GuestResult, run_guest
from tests.vm.kernels import KERNELS, GuestKernel, KernelUnavailable, fetch

SCRIPT = Path(__file__).parent / "guest" / "boot.py"
LAG = 2 * 64 * 4096
"""Bytes that memory.stat of two CPUs may stay behind: before Linux 5.13 for good."""
GUESTS: dict[GuestKernel, GuestResult] = {}


@pytest.fixture
def guest(guest_kernel: GuestKernel) -> GuestResult:
    """One boot per kernel, shared by the tests of this file."""
    if guest_kernel not in GUESTS:
        GUESTS[guest_kernel] = run_guest(guest_kernel, SCRIPT, arguments=["a b"], disk_megabytes=64)
    return GUESTS[guest_kernel]


@pytest.fixture
def facts(guest: GuestResult) -> dict[str, Any]:
    """What the guest reported."""
    result: dict[str, Any] = guest.json
    return result


def test_the_kernel_asked_for_runs(guest_kernel: GuestKernel, facts: dict[str, Any]) -> None:
    """The release is the one of the table's row, and has BTF."""
    assert facts["release"].startswith(guest_kernel.release_start)
    assert facts["btf_bytes"] > 1_000_000


def test_cgroup_v2_accounts_memory(facts: dict[str, Any]) -> None:
    """The memory controller is on in the unified hierarchy."""
    assert facts["cgroup"] == "cgroup2"
    assert "memory" in facts["controllers"]


def test_python_is_this_python(facts: dict[str, Any]) -> None:
    """The interpreter of the test run works in the guest and gets its arguments."""
    assert facts["python"] == list(sys.version_info[:2])
    assert facts["arguments"] == ["a b"]


def test_libbpf_reads_the_kernels_types(facts: dict[str, Any]) -> None:
    """libbpf.so.1 loads through ctypes and parses the guest's BTF."""
    assert facts["libbpf"].startswith("v1.")
    assert facts["btf_loads"] is True


def test_files_are_charged(facts: dict[str, Any]) -> None:
    """Page cache of ramfs and of a real ext4 is charged to the writer's cgroup."""
    assert facts["disk"] == "ext4"
    assert facts["ramfs_charged"] >= (3 << 20) - LAG
    assert facts["disk_charged"] >= (5 << 20) - LAG


def test_stderr_goes_to_the_console(guest: GuestResult) -> None:
    """Console and output are kept apart."""
    assert "guest: this line belongs on the console" in guest.console
    assert "guest: this line" not in guest.stdout


def test_a_failing_script_fails_the_test() -> None:
    """A traceback in the guest reaches the reader here."""
    with pytest.raises(GuestError, match="ValueError: seen from outside"):
        run_guest(KERNELS[-1], "raise ValueError('seen from outside')")


def test_a_hanging_guest_is_ended() -> None:
    """The timeout holds whatever the guest does."""
    with pytest.raises(GuestError, match="did not end within 5 s"):
        run_guest(KERNELS[-1], "import time; time.sleep(1000)", timeout=5)


def test_a_missing_kernel_says_why(tmp_path: Path) -> None:
    """A suite that does not exist is named in the reason."""
    missing = GuestKernel("1.2", ("no-such-suite",))
    with pytest.raises(KernelUnavailable, match=r"kernel 1\.2 not downloaded \(no-such-suite: "):
        fetch(missing, tmp_path)
