"""Swap on cgroup version 1 in a guest with a swap file: 6.1 is Debian's last kernel that has it."""

from __future__ import annotations

from pathlib import Path

from tests.vm.harness import run_guest
from tests.vm.kernels import GuestKernel

SCRIPT = Path(__file__).parent / "swap_v1.py"
KERNEL = GuestKernel("6.1", ("bookworm",))


def test_swap_of_version_1_is_what_the_kernel_says() -> None:
    """Used is memsw less memory, the limit the smallest on the way up, the machine's meminfo's."""
    checks = run_guest(
        KERNEL, SCRIPT, modules=("virtio_pci",), disk_megabytes=128, timeout=120
    ).json
    wrong = {name: check for name, check in checks.items() if check["got"] != check["expected"]}
    assert checks
    assert not wrong
