"""Kernel objects are counted on other kernels with cgroup v2; a kernel that cannot says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.vm.harness import run_guest
from tests.vm.kernels import GuestKernel

SCRIPT = Path(__file__).parent / "slab_census.py"
DISK_MEGABYTES = 128
SECONDS = 240
NEAR = 0.01
HELD_SLABS = 2 * 8  # of one cache, by the guest's two CPUs

GUESTS: dict[GuestKernel, dict[str, Any]] = {}


@pytest.fixture
def told(guest_kernel: GuestKernel) -> dict[str, Any]:
    """One boot per kernel: what memtrace said, and what the kernel said."""
    if guest_kernel not in GUESTS:
        result = run_guest(guest_kernel, SCRIPT, disk_megabytes=DISK_MEGABYTES, timeout=SECONDS)
        print(result.console)
        GUESTS[guest_kernel] = result.json
    return GUESTS[guest_kernel]


def refused(told: dict[str, Any]) -> bool:
    """Whether this kernel cannot: how it says so has a test of its own."""
    return bool(told["exit"] == 3)


def objects(line: dict[str, Any], part: str) -> int:
    """Objects of all caches with that in their name, labels of inodes apart."""
    rows = [row for row in line["slab"] if not row["cache"].startswith("lsm_")]
    return sum(row["objects"] for row in rows if part in row["cache"])


def near(got: int, expected: int) -> bool:
    """Whether the one is within 1 % of the other."""
    return abs(got - expected) <= NEAR * expected


def test_a_kernel_without_loops_is_refused_in_a_sentence(told: dict[str, Any]) -> None:
    """Before Linux 5.17: exit 3, with the reason."""
    major, minor = map(int, told["release"].split(".")[:2])
    if (major, minor) >= (5, 17):
        assert told["exit"] == 0, told
    else:
        assert told["exit"] == 3
        assert "bpf_loop" in told["error"]


def test_names_and_inodes_are_counted(told: dict[str, Any]) -> None:
    """A name each for what exists and, on a disk, for what does not; an inode for what exists."""
    if refused(told):
        return
    assert near(objects(told["mine"], "dentry"), told["names"])
    assert near(objects(told["mine"], "inode"), told["files"])


def test_the_sum_is_the_kernels_own(told: dict[str, Any]) -> None:
    """Slab of memory.stat, to 1 %."""
    if refused(told):
        return
    assert near(told["mine"]["slab_bytes"], told["slab"])


def test_all_objects_are_those_of_slabinfo(told: dict[str, Any]) -> None:
    """Of every cgroup and of nobody; free places in slabs that a CPU holds are active there."""
    if refused(told):
        return
    for cache in ("dentry", "radix_tree_node", "kernfs_node_cache"):
        got = objects(told["whole"], cache) + objects(told["nobody"], cache)
        active, each = told["slabinfo"][cache]
        assert (1 - NEAR) * active - HELD_SLABS * each <= got <= (1 + NEAR) * active, cache
