"""Garbage collections of real Go programs: each one told, with the runtime's own figures.

All of it through one link for a binary, and through perf events, as on kernels before 6.6.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memtrace.collect.go_cycles import GoCycle, decode
from memtrace.kernel import wire
from memtrace.kernel.errors import BpfError
from memtrace.kernel.go_plan import go_gc_feature, has_uprobe_multi
from memtrace.kernel.go_probe import GoProbe
from memtrace.kernel.plan import QUESTIONS
from memtrace.kernel.support import kernel_facts
from tests.kernel.harness.bpf import attached_programs, held_by
from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.golang import TIMES, Binary, Traced, build, stripped, traced
from tests.outcomes import unavailable

pytestmark = pytest.mark.timeout(180)

CYCLES = 101
BEFORE_NS = 15_000
"""The runtime looks at its clock some microseconds before it calls what is probed."""
FACTS = kernel_facts(QUESTIONS)


@pytest.fixture(scope="module", params=[True, False], ids=["uprobe_multi", "perf events"])
def many(request: pytest.FixtureRequest) -> bool:
    """How to attach."""
    feature = go_gc_feature(FACTS)
    if not feature.enabled:
        unavailable(feature.reason)
    if request.param and not has_uprobe_multi(FACTS):
        unavailable("this kernel has no uprobe_multi link (before 6.6)")
    return bool(request.param)


@pytest.fixture(scope="module")
def collect(tmp_path_factory: pytest.TempPathFactory) -> Binary:
    """The program that collects as often as it is told."""
    return build("collect", tmp_path_factory.mktemp("go"))


@pytest.fixture
def probe(many: bool) -> Iterator[GoProbe]:
    """Loaded, following nothing."""
    with GoProbe(many) as probe:
        yield probe


class Program:
    """A running `collect`, before its first collection that it is told to do."""

    def __init__(
        self, binary: Binary, count: int, how: str = "forced", cgroup: Cgroup | None = None
    ) -> None:
        enter = f'echo 0 > "{cgroup.directory}/cgroup.procs" && ' if cgroup else ""
        self._child = subprocess.Popen(
            ["/bin/sh", "-c", f'{enter} exec "$@"', "sh", binary.path, str(count), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"GODEBUG": "gctrace=1"},
        )
        self.pid = self._child.pid
        self._says(b"ready\n")

    def collect(self) -> None:
        """Let it do what it was told, and wait until it is done."""
        self.go_on()
        self._says(b"done\n")

    def go_on(self) -> None:
        """Let it begin."""
        assert self._child.stdin is not None
        self._child.stdin.write(b"\n")
        self._child.stdin.flush()

    def end(self) -> list[Traced]:
        """Let it end; return what the runtime told of all its collections."""
        _, errors = self._child.communicate(b"\n", timeout=60)
        assert self._child.returncode == 0
        return traced(errors.decode())

    def kill(self) -> None:
        """End it at once."""
        self._child.kill()
        self._child.communicate()

    def _says(self, line: bytes) -> None:
        assert self._child.stdout is not None
        assert self._child.stdout.readline() == line


def told(probe: GoProbe) -> list[GoCycle]:
    """Every collection that was told since the last time."""
    found: list[GoCycle | None] = []
    probe.drain(lambda record: found.append(decode(record)))
    return [cycle for cycle in found if cycle is not None]


def tgids(cycles: list[GoCycle]) -> Counter[int]:
    """How many of each process."""
    return Counter(wire.PROCESS.unpack(cycle.process)[0] for cycle in cycles)


def test_each_collection_is_told_once(probe: GoProbe, collect: Binary) -> None:
    """As many as the program asked for, by whom, in its cgroup; other stops are none."""
    with Cgroup("collects") as cgroup:
        probe.follow(str(collect.path), collect.places, TIMES)
        program = Program(collect, CYCLES, cgroup=cgroup)
        told(probe)
        before = time.monotonic_ns()
        program.collect()
        cycles = told(probe)
        program.end()
        assert [cycle.trigger for cycle in cycles] == ["forced"] * CYCLES
        assert tgids(cycles) == {program.pid: CYCLES}
        assert {cycle.cgroup_id for cycle in cycles} == {cgroup.cgroup_id}
        assert {cycle.procs for cycle in cycles} == {len(os.sched_getaffinity(0))}
    moments = [moment for cycle in cycles for moment in (cycle.begun_ns, cycle.ended_ns)]
    assert moments == sorted(moments)
    assert before < moments[0] < moments[-1] < time.monotonic_ns()
    assert probe.lost() == (0, 0)


@pytest.mark.parametrize("how", ["forced", "busy"])
def test_figures_are_those_of_the_runtime(probe: GoProbe, collect: Binary, how: str) -> None:
    """Against gctrace: as many, and wall time and pauses within a fifth in the median."""
    probe.follow(str(collect.path), collect.places, TIMES)
    program = Program(collect, CYCLES, how)
    program.collect()
    lines = program.end()
    cycles = told(probe)
    assert abs(len(cycles) - len(lines)) <= 1
    first = median(cycles, lambda cycle: cycle.first_pause_ns)
    pauses = median(cycles, lambda cycle: cycle.pauses_ns)
    wall = median(cycles, lambda cycle: cycle.wall_ns)
    said = statistics.median(line.first_pause for line in lines)
    assert first == pytest.approx(said, rel=0.2, abs=BEFORE_NS)
    said = statistics.median(map(sum_of_pauses, lines))
    assert pauses == pytest.approx(said, rel=0.2, abs=2 * BEFORE_NS)
    assert wall == pytest.approx(statistics.median(map(sum_of_parts, lines)), rel=0.2)
    assert all(0 < (cycle.cpu_fraction or 0) <= 1 for cycle in cycles)
    assert all(cycle.marked_bytes and cycle.marked_bytes > 1 << 20 for cycle in cycles)
    if how == "busy":
        assert sum(cycle.trigger == "heap" for cycle in cycles) >= CYCLES
        assert sum(cycle.assist_ns or 0 for cycle in cycles) > 0


def median(cycles: list[GoCycle], figure: Callable[[GoCycle], int]) -> float:
    """Of one figure."""
    return statistics.median(map(figure, cycles))


def sum_of_pauses(line: Traced) -> float:
    """What the world stood still."""
    return line.first_pause + line.last_pause


def sum_of_parts(line: Traced) -> float:
    """What the collection took."""
    return line.first_pause + line.concurrent + line.last_pause


def test_two_processes_of_a_stripped_binary_are_told_apart(probe: GoProbe, collect: Binary) -> None:
    """One began before the probes came, one after them; the file is named by a process."""
    binary = stripped(collect)
    older = Program(binary, 47)
    probe.follow(f"/proc/{older.pid}/exe", binary.places, TIMES)
    newer = Program(binary, 53)
    told(probe)
    older.go_on()
    newer.collect()
    newer.end()
    older.end()
    assert tgids(told(probe)) == {older.pid: 47, newer.pid: 53}


def test_a_position_independent_binary_tells_where_its_controller_is(
    probe: GoProbe, collect: Binary
) -> None:
    """Its address in the process: as linked, plus where the kernel put the program."""
    pie = build("collect", collect.path.parent, "-buildmode=pie")
    descriptor = os.open(pie.path, os.O_RDONLY)
    try:
        probe.follow(f"/proc/self/fd/{descriptor}", pie.places, TIMES)
    finally:
        os.close(descriptor)
    program = Program(pie, 31)
    told(probe)
    program.collect()
    cycles = told(probe)
    maps = Path(f"/proc/{program.pid}/maps").read_text().splitlines()
    first = min(line for line in maps if line.endswith(str(pie.path))).partition("-")[0]
    program.end()
    assert len(cycles) == 31
    assert {cycle.controller for cycle in cycles} == {pie.controller + int(first, 16)}
    assert all((cycle.cpu_fraction or 0) > 0 for cycle in cycles)


def test_a_process_that_dies_while_collecting_leaves_nothing(
    probe: GoProbe, collect: Binary
) -> None:
    """Ten that are killed at any moment of it."""
    probe.follow(str(collect.path), collect.places, TIMES)
    for _ in range(10):
        program = Program(collect, 1_000_000)
        program.go_on()
        time.sleep(0.03)
        program.kill()
    assert told(probe)
    assert probe.unfinished() == 0


def test_a_binary_that_is_followed_twice_tells_once(probe: GoProbe, collect: Binary) -> None:
    """By one of its numbers; two mounts of one file may look like two files."""
    for _ in range(2):
        probe.follow(str(collect.path), collect.places, TIMES)
    program = Program(collect, 7)
    told(probe)
    program.collect()
    cycles = told(probe)
    program.end()
    assert len(cycles) == 7
    assert len({cycle.binary for cycle in cycles}) == 1


def test_what_was_left_tells_nothing(probe: GoProbe, collect: Binary) -> None:
    """A binary that is left, twice even; the processes go on."""
    number = probe.follow(str(collect.path), collect.places, TIMES)
    program = Program(collect, 29)
    probe.leave(number)
    probe.leave(number)
    told(probe)
    program.collect()
    assert len(program.end()) >= 29
    assert told(probe) == []


def test_without_offsets_times_are_unknown(probe: GoProbe, collect: Binary) -> None:
    """Of a Go version that nobody knows: all but the runtime's own account."""
    probe.follow(str(collect.path), collect.places)
    program = Program(collect, 7)
    told(probe)
    program.collect()
    cycles = told(probe)
    program.end()
    assert len(cycles) == 7
    assert all(cycle.assist_ns is cycle.idle_ns is cycle.cpu_fraction is None for cycle in cycles)
    assert all(cycle.wall_ns > cycle.pauses_ns > 0 for cycle in cycles)


def test_nothing_is_left_in_the_kernel(many: bool, collect: Binary) -> None:
    """No program, map or link after the end."""
    before = held_by(os.getpid())
    with GoProbe(many) as probe:
        probe.follow(str(collect.path), collect.places, TIMES)
        assert "on_go_runtime" in attached_programs(os.getpid())
    assert held_by(os.getpid()) <= before


def test_a_file_that_cannot_be_probed_is_an_error(probe: GoProbe, collect: Binary) -> None:
    """And the next one can."""
    with pytest.raises(BpfError):
        probe.follow("/proc/self/no-such", collect.places, TIMES)
    probe.follow(str(collect.path), collect.places, TIMES)
