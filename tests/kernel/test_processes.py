"""Facts of processes: what a known workload needed and moved, threads that ended included."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memtrace.collect.names import MAX_PROCESSES
from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.memtrace import Memtrace
from tests.kernel.harness.workloads import Workloads

pytestmark = pytest.mark.kernel

PAGE = os.sysconf("SC_PAGE_SIZE")
WRITTEN, READ, TOUCHED = 1009, 503, 60013
DIRTIED_BESIDES = 16
"""Pages of file-system metadata that writing a file makes dirty."""
OTHERS = MAX_PROCESSES + 1000
SEEN = 6.0
"""Seconds of quiet after which what a living process did last has been read."""
LAG = 3 * max(32, 2 * (os.cpu_count() or 1)) * (os.cpu_count() or 1) * PAGE
"""Each CPU counts resident pages of three kinds on its own before it tells the whole."""


def proc_io(pid: int) -> dict[str, int]:
    """The kernel's own account of a process' I/O."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return {key.rstrip(":"): int(value) for key, value in (line.split() for line in lines)}


def row_of(memtrace: Memtrace, cgroup: Cgroup, pid: int) -> dict[str, Any]:
    """The row of a process, in the first snapshot after it has been quiet."""
    rows = memtrace.settle(SEEN).row(cgroup.path)["processes"]
    row: dict[str, Any] = next(row for row in rows if row["pid"] == pid)
    return row


def peak(pid: int) -> int:
    """The kernel's own figure for the most memory it had resident, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def hold_below_a_shell(cgroup: Cgroup, *command: str | Path) -> tuple[subprocess.Popen[bytes], int]:
    """Hold a workload and its pid. A shell starts it: until exec a process counts its parent."""
    shell = cgroup.hold("/bin/sh", "-c", '"$0" "$@"; exit', *command)
    children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text()
    return shell, int(children.split()[0])


def end(child: subprocess.Popen[bytes]) -> None:
    """Let a held workload end, and wait for it."""
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait() == 0


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """A cgroup of the test's own."""
    with Cgroup("needs") as cgroup:
        yield cgroup


def test_peak_and_disk_io_are_what_the_process_did(
    memtrace: Memtrace, workloads: Workloads, cgroup: Cgroup, disk: Path
) -> None:
    """Of all threads together, and equal to what /proc says."""
    counts = [str(count) for count in (WRITTEN, READ, TOUCHED)]
    child = cgroup.hold(workloads["needs"], disk / "needs", *counts)
    row = row_of(memtrace, cgroup, child.pid)
    io = proc_io(child.pid)
    assert row["disk_write_bytes"] == io["write_bytes"]
    assert 0 <= row["disk_write_bytes"] - WRITTEN * PAGE <= DIRTIED_BESIDES * PAGE
    assert row["disk_read_bytes"] == io["read_bytes"]
    assert 0 <= row["disk_read_bytes"] - READ * PAGE <= (READ + 1024) * PAGE
    assert row["peak_rss_bytes"] >= TOUCHED * PAGE - LAG
    assert abs(row["peak_rss_bytes"] - peak(child.pid)) <= LAG
    end(child)


@pytest.mark.parametrize("seen_before", [True, False])
def test_an_ended_process_has_its_final_figures(
    memtrace: Memtrace, workloads: Workloads, cgroup: Cgroup, disk: Path, seen_before: bool
) -> None:
    """Also one that lived between two looks."""
    counts = [str(count) for count in (WRITTEN, READ, TOUCHED)]
    path = disk / f"ended-{seen_before}"
    child, pid = hold_below_a_shell(cgroup, workloads["needs"], path, *counts)
    if seen_before:
        memtrace.settle(SEEN)
    io, most = proc_io(pid), peak(pid)
    end(child)
    row = row_of(memtrace, cgroup, pid)
    assert row["peak_rss_bytes"] >= TOUCHED * PAGE
    assert abs(row["peak_rss_bytes"] - most) <= LAG
    assert row["disk_write_bytes"] == io["write_bytes"]
    assert row["disk_read_bytes"] == io["read_bytes"]


def test_a_final_peak_is_never_that_of_a_parent(
    memtrace: Memtrace, workloads: Workloads, cgroup: Cgroup, disk: Path
) -> None:
    """Until exec a process counts its parent's memory, and getrusage never forgets it."""
    large = bytearray(64 << 20)
    child = cgroup.hold(workloads["needs"], disk / "small", "7", "1", "1")
    del large
    end(child)
    peak = row_of(memtrace, cgroup, child.pid)["peak_rss_bytes"]
    assert peak is None or peak < 32 << 20


def test_threads_that_end_together_are_all_counted(
    memtrace: Memtrace, workloads: Workloads, cgroup: Cgroup, disk: Path
) -> None:
    """Each has an account of its own, which is added to the others' when it is gone."""
    threads = 101
    child = cgroup.hold(workloads["crowd"], disk / "crowd", str(threads))
    io = proc_io(child.pid)
    assert io["write_bytes"] >= threads * PAGE
    end(child)
    assert row_of(memtrace, cgroup, child.pid)["disk_write_bytes"] == io["write_bytes"]


def test_the_name_of_one_that_ended_outlives_thousands_of_others(
    memtrace: Memtrace, workloads: Workloads, cgroup: Cgroup, disk: Path
) -> None:
    """Nobody can be asked for it again, and it may be who filled the cache."""
    writer = cgroup.run(workloads["write"], disk / "kept", str(WRITTEN), "4096")
    one = f"(echo > {disk / 'other'})"  # a process of its own, which adds a page
    cgroup.run("/bin/sh", "-c", f"i=0; while [ $i -lt {OTHERS} ]; do {one}; i=$((i + 1)); done")
    assert row_of(memtrace, cgroup, writer)["comm"] == "write"


def test_stalls_are_told_or_the_reason_is(
    memtrace: Memtrace, workloads: Workloads, cgroup: Cgroup, disk: Path
) -> None:
    """Never zero for what the kernel does not count."""
    child = cgroup.hold(workloads["needs"], disk / "stalls", "7", "1", "1")
    feature = memtrace.next()["features"]["taskstats"]
    counted = Path("/proc/sys/kernel/task_delayacct").read_text().strip() == "1"
    assert feature["enabled"] == counted
    stalled = row_of(memtrace, cgroup, child.pid)["stall_seconds"]
    if counted:
        assert 0 <= stalled < 60
    else:
        assert stalled is None
        assert "task_delayacct is 0" in feature["reason"]
