"""The host room against the real memory hierarchy: numbers equal the files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtrace.host import procfs
from memtrace.host.cgroupfs import CgroupReader
from memtrace.host.hierarchy import Hierarchy, find_hierarchy, walk
from memtrace.host.mounts import MountTable
from tests.kernel.harness.cgroup import IS_V1, Cgroup

pytestmark = pytest.mark.kernel

MIB = 1 << 20
ROOT = Path("/")


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """The memory hierarchy of this machine."""
    return find_hierarchy()


@pytest.fixture
def reader(hierarchy: Hierarchy) -> Iterator[CgroupReader]:
    """A reader closed after the test."""
    reader = CgroupReader(hierarchy)
    yield reader
    reader.close()


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """A cgroup of the test's own."""
    with Cgroup("host") as cgroup:
        yield cgroup


def write_file(cgroup: Cgroup, path: Path, mebibytes: int) -> None:
    """Write a file from inside the cgroup, and wait until it is clean."""
    command = f"dd if=/dev/zero of={path} bs=1M count={mebibytes} conv=fsync"
    cgroup.run("/bin/sh", "-c", command)


def test_the_hierarchy_is_the_one_the_kernel_uses(hierarchy: Hierarchy) -> None:
    """Its root has inode 1 and holds memory.stat."""
    assert hierarchy.version == (1 if IS_V1 else 2)
    assert hierarchy.mount.stat().st_ino == 1
    assert (hierarchy.mount / "memory.stat").exists()


def test_a_walk_finds_every_cgroup_that_find_would(hierarchy: Hierarchy, cgroup: Cgroup) -> None:
    """With the inode as its id, a new child included."""
    with Cgroup("child", cgroup):
        listed = {entry.path: entry for entry in walk(hierarchy)}
        assert listed[cgroup.path].id == cgroup.cgroup_id
        assert listed[f"{cgroup.path}/child"].parent_id == cgroup.cgroup_id


def test_the_figures_equal_the_files(reader: CgroupReader, cgroup: Cgroup, disk: Path) -> None:
    """Of a cgroup that has written a file and stands still."""
    write_file(cgroup, disk / "known", 7)
    deadline = time.monotonic() + 15
    while True:  # memory.stat is flushed every two seconds
        before = cgroup.stat()
        memory = reader.read(cgroup.cgroup_id, cgroup.path)
        assert memory is not None
        if before == cgroup.stat() and memory.dirty_bytes == memory.writeback_bytes == 0:
            break
        assert time.monotonic() < deadline
        time.sleep(0.2)
    total = "total_" if IS_V1 else ""
    assert memory.file_bytes == cgroup.file_bytes() >= 7 * MIB
    assert memory.shmem_bytes == before[f"{total}shmem"]
    assert memory.inactive_file_bytes == before[f"{total}inactive_file"]
    assert memory.active_file_bytes == before[f"{total}active_file"]
    assert memory.anon_bytes == before["total_rss" if IS_V1 else "anon"]
    usage = cgroup.directory / ("memory.usage_in_bytes" if IS_V1 else "memory.current")
    assert memory.usage_bytes == int(usage.read_text())


def test_a_limit_is_seen_without_a_full_read(reader: CgroupReader, cgroup: Cgroup) -> None:
    """None before it is set."""
    first = reader.read(cgroup.cgroup_id, cgroup.path)
    assert first is not None
    assert first.limit_bytes is None
    cgroup.limit(64 * MIB)
    second = reader.read(cgroup.cgroup_id, cgroup.path, changed=False)
    assert second is not None
    assert second.limit_bytes == 64 * MIB


def test_the_root_has_no_limit(reader: CgroupReader, hierarchy: Hierarchy) -> None:
    """And its page cache is known."""
    memory = reader.read(1, "/")
    assert memory is not None
    assert memory.limit_bytes is None
    assert memory.file_bytes is not None


def test_a_removed_cgroup_vanishes_and_a_new_one_is_another(reader: CgroupReader) -> None:
    """Same path, other id: neither the held files nor the path answer for the old one."""
    with Cgroup("again") as cgroup:
        old = cgroup.cgroup_id
        assert reader.read(old, cgroup.path) is not None
        cgroup.directory.rmdir()
        cgroup.directory.mkdir()
        assert reader.read(old, cgroup.path) is None
        assert reader.held == 0
        assert reader.read(cgroup.cgroup_id, cgroup.path) is not None


def test_a_process_is_where_it_was_put(hierarchy: Hierarchy, cgroup: Cgroup) -> None:
    """From both ends: the process names the cgroup, the cgroup lists the process."""
    child = cgroup.hold("/bin/sh", "-c", "echo ready; read wait")
    assert procfs.memory_cgroup(ROOT, hierarchy, child.pid) == cgroup.path
    assert procfs.pids_in(hierarchy, cgroup.path) == (child.pid,)
    assert procfs.read_comm(ROOT, child.pid) == "sh"
    assert procfs.exists(ROOT, child.pid)
    ticks = procfs.start_ticks(ROOT, child.pid)
    assert ticks is not None
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1e9
    assert now - 30 < ticks / os.sysconf("SC_CLK_TCK") <= now


def test_a_file_on_disk_has_its_host_path(disk: Path) -> None:
    """By its device and its path within the file system."""
    table = MountTable()
    assert table.refresh()
    device = os.stat(disk).st_dev
    kernel_device = os.major(device) << 20 | os.minor(device)
    mount = max(
        (m for m in table.mounts if disk.is_relative_to(m.point) and m.device == kernel_device),
        key=lambda m: len(m.point),
    )
    within = f"{mount.root.rstrip('/')}/{disk.relative_to(mount.point)}"
    assert table.host_path(kernel_device, within) == str(disk)
