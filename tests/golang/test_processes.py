"""Running Go programs as `memtrace go` shows them: what they say of themselves, from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtrace.collect.go_sample import GoSamples
from memtrace.model.go_shapes import GoRow
from memtrace.model.modeler import Modeler
from tests.golang.process import Subject
from tests.golang.programs import Program
from tests.kernel.harness.cgroup import Cgroup
from tests.outcomes import unavailable

MIB = 1 << 20
LIMIT = 300 * MIB
FORCED = 7
HELD = 41
CPU = Path("/sys/fs/cgroup/cpu")


class Watch:
    """What is watched, one look after the other."""

    def __init__(self, source: GoSamples) -> None:
        self._source = source
        self._modeler = Modeler()

    def row(self, pid: int) -> GoRow:
        """One process as of now."""
        snapshot = self._modeler.snapshot(self._source.sample())
        rows = [row for each in snapshot.containers if each.go for row in each.go.own]
        (found,) = [row for row in rows if row.process.pid == pid]
        return found


@pytest.fixture
def watch() -> Iterator[Watch]:
    """memtrace looks."""
    if os.geteuid():
        unavailable("it needs root")
    with GoSamples() as source:
        yield Watch(source)


@pytest.mark.parametrize("flavour", ["stripped", "cgo-pie"])
def test_a_process_is_shown_as_it_is(built: Program, watch: Watch) -> None:
    """Version, heap and settings, also after they were changed while it ran."""
    with Subject(built.stripped) as subject:
        pid = subject.process.pid
        first = watch.row(pid)
        assert (first.process.version or "").startswith(f"go{built.release}")
        assert first.process.stripped
        subject.ask("hold", HELD)
        subject.ask("percent", 50)
        subject.ask("limit", 200 * MIB)
        subject.ask("procs", 1)
        subject.ask("gc")
        said, heap = subject.ask("stats"), watch.row(pid).process.heap
    assert heap is not None
    assert (heap.gogc, heap.gomemlimit_bytes, heap.gomaxprocs) == (50, 200 * MIB, 1)
    assert heap.gc_cycles == said["cycles"]
    assert heap.heap_goal_bytes == said["goal"]
    assert abs(heap.heap_in_use_bytes - said["in_use"]) <= MIB
    assert heap.heap_live_bytes >= HELD * MIB


@pytest.mark.parametrize("flavour", ["stripped"])
def test_collections_are_counted(built: Program, watch: Watch) -> None:
    """Those the program asked for, by the probes and by its own count."""
    with Subject(built.stripped) as subject:
        pid = subject.process.pid
        watch.row(pid)
        for _ in range(FORCED):
            subject.ask("gc")
        row = watch.row(pid)
    assert row.gc_cycles_delta == FORCED
    assert row.process.gc is not None
    assert (row.process.gc.cycles, row.process.gc.forced) == (FORCED, FORCED)
    assert row.process.gc.pause_seconds > 0
    assert row.gc_cpu_fraction is not None


@pytest.mark.parametrize("release", ["1.21"])
@pytest.mark.parametrize("flavour", ["stripped"])
def test_limits_stand_beside_it(built: Program, watch: Watch) -> None:
    """A memory limit and a CPU quota of its cgroup, and what they mean for its settings."""
    with Cgroup("go") as cgroup:
        cgroup.limit(LIMIT)
        quota = CPU / cgroup.path.lstrip("/")
        quota.mkdir()
        try:
            (quota / "cpu.cfs_quota_us").write_text("50000")
            with Subject(built.stripped, GOMAXPROCS="5") as subject:
                for directory in (cgroup.directory, quota):
                    (directory / "cgroup.procs").write_text(str(subject.process.pid))
                row = watch.row(subject.process.pid)
        finally:
            quota.rmdir()
    assert row.beside.limit_bytes == LIMIT
    assert row.process.cpu_quota == 0.5
    assert any("GOMAXPROCS is 5 under a quota of 0.5 CPUs" in remark for remark in row.remarks)
    assert any("does not look at the CPU quota" in remark for remark in row.remarks)
