"""What a container's memory consists of: each kind made by a known workload, little unexplained."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.kernel.harness.cgroup import IS_V1, Cgroup
from tests.kernel.harness.memtrace import Memtrace, Row
from tests.kernel.harness.workloads import Workloads

pytestmark = pytest.mark.kernel

PAGE = os.sysconf("SC_PAGE_SIZE")
CPUS = os.cpu_count() or 1
STOCK = 64 * CPUS * PAGE
"""Charged pages that the CPUs hold in stock (MEMCG_CHARGE_BATCH): usage that is nothing yet."""
COUNT = 509
# kind of workload -> its figure on v2, and what COUNT of it takes at least
KINDS = {
    "threads": ("kernel_stack_bytes", COUNT * 4 * PAGE),
    "tables": ("page_table_bytes", COUNT * PAGE),
    "percpu": ("percpu_bytes", COUNT * CPUS * 512),
}


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """A cgroup of the test's own."""
    with Cgroup("composition") as cgroup:
        yield cgroup


def parts(row: Row) -> int:
    """What the row's own figures add up to; v1 counts network buffers apart from usage."""
    sock: int = 0 if IS_V1 else row["sock_bytes"]
    total: int = row["anon_bytes"] + row["file_bytes"] + row["kernel_bytes"] + sock
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_kernel_memory_is_told_and_explained(
    memtrace: Memtrace, workloads: Workloads, cgroup: Cgroup, kind: str
) -> None:
    """v1 tells its sum alone, v2 each kind; usage is the sum of the figures, up to stock."""
    figure, least = KINDS[kind]
    cgroup.hold(workloads["kernel_memory"], kind, str(COUNT))
    row = memtrace.settle().row(cgroup.path)
    assert least <= row["kernel_bytes"] < 2 * least + (1 << 20)
    if IS_V1:
        assert row[figure] is None
        kmem = int((cgroup.directory / "memory.kmem.usage_in_bytes").read_text())
        assert row["kernel_bytes"] == kmem
    else:
        assert least <= row[figure] <= row["kernel_bytes"]
        assert row["kernel_bytes"] == cgroup.stat()["kernel"]
    assert row["unexplained_bytes"] == row["usage_bytes"] - parts(row)
    assert abs(row["unexplained_bytes"]) <= STOCK


def test_network_buffers_are_told_where_they_are_counted(
    memtrace: Memtrace, workloads: Workloads, cgroup: Cgroup
) -> None:
    """On v1 only under a limit for them: without one they are unknown, not zero."""
    with Cgroup("limited") as limited:
        if IS_V1:
            (limited.directory / "memory.kmem.tcp.limit_in_bytes").write_text(str(1 << 30))
        for where in (cgroup, limited):
            where.hold(workloads["kernel_memory"], "sockets", "11")
        snapshot = memtrace.settle()
        row = snapshot.row(limited.path)
        tcp = "memory.kmem.tcp.usage_in_bytes"
        kernel = int((limited.directory / tcp).read_text()) if IS_V1 else limited.stat()["sock"]
        assert row["sock_bytes"] == kernel > 11 * 65536
        assert abs(row["unexplained_bytes"]) <= STOCK
        unlimited = snapshot.row(cgroup.path)["sock_bytes"]
        assert unlimited is None if IS_V1 else unlimited > 11 * 65536


def test_the_whole_machine_is_explained(memtrace: Memtrace) -> None:
    """v1 leaves kernel memory out of the root's usage; v2 gives the root no usage at all."""
    row = memtrace.next().row("/")
    if IS_V1:
        assert abs(row["unexplained_bytes"]) <= 0.02 * row["usage_bytes"]
    else:
        assert row["usage_bytes"] is row["unexplained_bytes"] is None
