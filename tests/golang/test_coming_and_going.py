"""Go processes that begin, run another program and end: all are found, and nothing is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from memtrace.collect.go_collections import LEAVE_SECONDS, GoCollections, probed_as
from memtrace.collect.go_processes import REST, STILL, GoProcesses
from memtrace.golang.binary import inspect_path
from memtrace.host.hierarchy import find_hierarchy
from memtrace.host.procfs import memory_cgroup
from memtrace.kernel.go_plan import go_gc_feature, go_processes_feature, has_uprobe_multi
from memtrace.kernel.plan import QUESTIONS
from memtrace.kernel.support import kernel_facts
from memtrace.samples import GoProcess
from tests.golang.process import Subject
from tests.golang.programs import Program
from tests.kernel.harness.bpf import attached_programs, existing, held_by
from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.memtrace import Memtrace
from tests.outcomes import unavailable

pytestmark = [
    pytest.mark.parametrize("release", ["1.25"]),
    pytest.mark.parametrize("flavour", ["stripped"]),
]
SHORT_LIVED = 100
ROOT = Path("/")
PROBE = "on_go_runtime"


class Watch:
    """Looks as often as it is told, each a second of its own clock after the last."""

    def __init__(self) -> None:
        hierarchy = find_hierarchy(ROOT)
        facts = kernel_facts(QUESTIONS)
        collections = GoCollections(go_gc_feature(facts), has_uprobe_multi(facts))
        self.processes = GoProcesses(ROOT, hierarchy, "/", go_processes_feature(facts), collections)
        self._hierarchy = hierarchy
        self._now = time.monotonic()

    def look(self, seconds: float = 1.0) -> None:
        """Look after so long, whatever else is new."""
        self._now += seconds
        self.processes.look(self._now, thorough=True)

    def row(self, pid: int) -> GoProcess | None:
        """A process that runs, as it was at the last look."""
        path = memory_cgroup(ROOT, self._hierarchy, pid)
        cgroup = os.stat(f"{self._hierarchy.mount}{path}").st_ino
        rows = [row for row in self.processes.of(cgroup) if row.pid == pid]
        return rows[0] if rows else None


@pytest.fixture
def watch() -> Iterator[Watch]:
    """memtrace has looked at everything that is here."""
    if os.geteuid():
        unavailable("it needs root")
    watch = Watch()
    for _ in range(3):
        watch.look()
    yield watch
    watch.processes.close()


def opened() -> list[str]:
    """What this process has open."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            links.append(os.readlink(entry))
    return links


def memories() -> set[str]:
    """Of whose memory this process has a descriptor open."""
    return {link.split("/")[2] for link in opened() if link.endswith("/mem")}


def others() -> list[str]:
    """What it has open of everything else: BPF objects, too."""
    return sorted(link for link in opened() if not link.endswith("/mem"))


def test_a_new_process_is_in_the_next_sample(built: Program) -> None:
    """Of `top --json 1`: within a second of it."""
    with Memtrace() as memtrace, Cgroup("new-go") as cgroup:
        memtrace.first()
        memtrace.next()  # the first sample does not look for Go processes
        child = cgroup.start(built.stripped)
        for _ in range(2):  # in the first it may be the shell still that becomes it
            rows = memtrace.next().row(cgroup.path)["go"]
            if rows:
                break
    assert [row["pid"] for row in rows] == [child.pid]
    assert rows[0]["version"].startswith("go1.25")


def test_the_program_that_a_shell_becomes_is_found(built: Program, watch: Watch) -> None:
    """It was something else when it was looked at first: after the pause of a second."""
    script = 'read line && exec "$0"'
    with subprocess.Popen(
        ("sh", "-c", script, built.stripped), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        watch.look()
        assert watch.row(child.pid) is None
        child.stdin.write(b"\nready 0\n")
        child.stdin.flush()
        child.stdout.readline()  # it is the Go program by now
        watch.look(1.0)
        found = watch.row(child.pid)
        child.kill()
    assert found is not None
    assert (found.version or "").startswith("go1.25")
    assert found.heap is not None


def test_a_process_that_runs_another_program_by_now_is_not_probed(
    built: Program, tmp_path: Path
) -> None:
    """A breakpoint where the other one has no instruction would kill whoever runs it."""
    facts = kernel_facts(QUESTIONS)
    binary = inspect_path(built.stripped)
    probed = probed_as(binary)
    assert probed is not None
    other = shutil.copy("/bin/sleep", tmp_path / "other")
    collections = GoCollections(go_gc_feature(facts), has_uprobe_multi(facts), stay=0.0)
    with subprocess.Popen([other, "60"]) as process:
        try:
            collections.follow({probed: (process.pid, binary)}, time.monotonic())
            assert not collections.probes(binary)
        finally:
            process.kill()
            collections.close()


def test_a_child_of_vfork_does_not_keep_the_memory_of_its_parent(
    built: Program, watch: Watch
) -> None:
    """The descriptor that was opened before its exec is its parent's: the program is looked at."""
    with Subject(built.stripped) as subject:
        watch.look()
        one = watch.processes._followed[subject.process.pid]
        with subprocess.Popen(["/bin/sleep", "60"]) as child:
            watch.processes._followed[child.pid] = replace(one, pid=child.pid, due=0.0)
            watch.processes._finder.found.add(child.pid)
            watch.look()
            assert child.pid not in watch.processes._followed
            child.kill()


def test_an_ended_process_leaves_no_descriptor(built: Program, watch: Watch) -> None:
    """Its memory is closed at the next look, also while nobody has waited for it."""
    with Subject(built.stripped) as subject:
        pid = str(subject.process.pid)
        os.close(subject.memory)
        watch.look()
        assert pid in memories()
        subject.process.kill()
        os.waitid(os.P_PID, subject.process.pid, os.WEXITED | os.WNOWAIT)
        watch.look()
        assert pid not in memories()
        subject.memory = os.open("/dev/null", os.O_RDONLY)


def test_a_program_without_processes_is_probed_no_longer(built: Program, watch: Watch) -> None:
    """A minute later its link is gone; before, the next process may still come."""
    before = held_by(os.getpid())
    with Subject(built.stripped):
        for _ in range(4):
            watch.look()
        assert PROBE in attached_programs(os.getpid())
    links = {each for each in held_by(os.getpid()) - before if each[0] == "link"}
    watch.look()
    assert links <= existing()
    watch.look(LEAVE_SECONDS)
    watch.look()
    assert memories() or PROBE not in attached_programs(os.getpid())  # or others run Go here
    watch.processes.close()
    assert held_by(os.getpid()) <= before


def test_short_lived_processes_leave_nothing(built: Program, watch: Watch) -> None:
    """A hundred, looked at while they come and go: descriptors and links are as before."""
    before, pids = others(), set()
    for _ in range(SHORT_LIVED):
        with Subject(built.stripped) as subject:
            pids.add(str(subject.process.pid))
            watch.look(0.01)
    watch.look()
    assert not pids & memories()
    assert others() == before


def test_a_process_at_rest_is_read_more_seldom(built: Program, watch: Watch) -> None:
    """At one look of eight, and at the next one when it has collected."""
    with Subject(built.stripped) as subject:
        pid = subject.process.pid
        for _ in range(STILL + 2 * REST):
            watch.look()
        subject.ask("percent", 50)
        for _ in range(REST):
            watch.look()
        settings = watch.row(pid)
        for _ in range(STILL + 2 * REST):
            watch.look()
        for _ in range(REST):
            subject.ask("gc")
            watch.look()
            said, row = subject.ask("stats"), watch.row(pid)
            assert row is not None
            assert row.heap is not None
            assert row.heap.gc_cycles == said["cycles"]
    assert settings is not None
    assert settings.heap is not None
    assert settings.heap.gogc == 50
