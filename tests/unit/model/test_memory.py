"""Figures that follow from the kernel's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memtrace.model.memory import (
    clean,
    effective_limits,
    effective_swap_limits,
    figures,
    unexplained,
    working_set,
)
from memtrace.model.tree import grow
from memtrace.samples import CgroupSample, Memory
from tests.unit.model.builders import cgroup


def by_id(*cgroups: CgroupSample) -> dict[int, CgroupSample]:
    """As the model keeps them."""
    return {each.cgroup_id: each for each in cgroups}


def test_effective_limit_is_the_smallest_on_the_way_up() -> None:
    """The limit of an ancestor counts, and the cgroup that sets it is named."""
    found = by_id(
        cgroup(3, 2, "/a/b", memory=Memory(limit_bytes=500)),
        cgroup(1, path="/", memory=Memory()),
        cgroup(2, 1, "/a", memory=Memory(limit_bytes=300)),
        cgroup(4, 2, "/a/c", memory=Memory(limit_bytes=300)),
        cgroup(5, 1, "/d", memory=Memory()),
    )
    limits = effective_limits(grow(found), found)
    assert limits[3] == (300, "/a")
    assert limits[4] == (300, "/a/c")
    assert limits[5] == (None, None)


def test_working_set_is_never_negative() -> None:
    """Usage lags behind inactive_file at times."""
    assert working_set(Memory(usage_bytes=5, inactive_file_bytes=9)) == 0
    assert working_set(Memory(usage_bytes=9, inactive_file_bytes=5)) == 4
    assert working_set(Memory(usage_bytes=9)) is None


def test_clean_needs_all_its_parts() -> None:
    """clean = file - shmem - dirty - writeback, or unknown."""
    whole = Memory(file_bytes=100, shmem_bytes=10, dirty_bytes=20, writeback_bytes=5)
    assert clean(whole) == 65
    assert clean(Memory(file_bytes=100, shmem_bytes=10)) is None
    assert clean(None) is None


@pytest.mark.parametrize(
    ("mode", "memory", "expected"),
    [
        ("v2", Memory(100, 100, anon_bytes=20, file_bytes=30, kernel_bytes=10, sock_bytes=5), 35),
        ("v1", Memory(100, 100, anon_bytes=20, file_bytes=30, kernel_bytes=60), -10),
        ("hybrid", Memory(100, 100, anon_bytes=20, file_bytes=30, kernel_bytes=10), 40),
        ("v2", Memory(100, 100, anon_bytes=20, file_bytes=30, kernel_bytes=10), None),
        ("v2", Memory(100, 100, anon_bytes=20, file_bytes=30, sock_bytes=5), None),
    ],
)
def test_unexplained_is_signed_and_needs_its_parts(
    mode: str, memory: Memory, expected: int | None
) -> None:
    """What no figure accounts for, per cgroup version."""
    assert unexplained(memory, mode) == expected


def test_usage_of_the_root_of_v1_holds_no_kernel_memory() -> None:
    """Its kmem is the sum of all cgroups, and the kernel leaves it out of its usage."""
    memory = Memory(usage_bytes=50, anon_bytes=20, file_bytes=30, kernel_bytes=60)
    assert unexplained(memory, "hybrid", whole=True) == 0
    assert figures(memory, (None, None), None, "v1", whole=True).kernel_bytes == 60


def test_huge_pages_are_subtracted_where_they_are_charged() -> None:
    """The controller's own figure is no part of usage."""
    known = Memory(usage_bytes=90, anon_bytes=20, file_bytes=30, kernel_bytes=10, sock_bytes=0)
    assert unexplained(replace(known, hugetlb_bytes=30), "v2") == 30
    assert unexplained(replace(known, hugetlb_bytes=30, hugetlb_charged_bytes=30), "v2") == 0


def swap_limits(found: dict[int, CgroupSample]) -> dict[int, int | None]:
    """The effective swap limits of these cgroups."""
    tree = grow(found)
    return effective_swap_limits(tree, found, effective_limits(tree, found))


def test_limits_of_memory_and_swap_together() -> None:
    """On v1 swap gets what the smallest of them leaves beside memory at its effective limit."""
    cgroups = [
        cgroup(1, path="/"),
        cgroup(2, 1, "/a", memory=Memory(limit_bytes=400, memsw_limit_bytes=440)),
        cgroup(3, 2, "/a/b", memory=Memory(limit_bytes=160, memsw_limit_bytes=640)),
        cgroup(4, 2, "/a/c", memory=Memory(limit_bytes=160, memsw_limit_bytes=200)),
        cgroup(5, 2, "/a/d", memory=Memory(limit_bytes=900, memsw_limit_bytes=900)),
    ]
    found = {each.cgroup_id: each for each in cgroups}
    assert swap_limits(found) == {1: None, 2: 40, 3: 280, 4: 40, 5: 40}


def test_effective_swap_limit_is_the_smallest_on_the_way_up() -> None:
    """None where nobody set one."""
    found = by_id(
        cgroup(1, path="/", memory=Memory()),
        cgroup(2, 1, "/a", memory=Memory(swap_limit_bytes=300)),
        cgroup(3, 2, "/a/b", memory=Memory(swap_limit_bytes=500)),
        cgroup(4, 2, "/a/c", memory=Memory(swap_limit_bytes=0)),
        cgroup(5, 1, "/d", memory=None),
        cgroup(6, 4, "/a/c/e", memory=Memory(swap_limit_bytes=500)),
    )
    expected = {1: None, 2: 300, 3: 300, 4: 0, 5: None, 6: 0}
    assert swap_limits(found) == expected


def test_kernel_memory_comes_from_its_parts_on_older_kernels() -> None:
    """memory.stat without a `kernel` line."""
    memory = Memory(
        usage_bytes=100,
        anon_bytes=0,
        file_bytes=0,
        sock_bytes=0,
        slab_bytes=40,
        kernel_stack_bytes=5,
    )
    assert unexplained(memory, "v2") == 55
