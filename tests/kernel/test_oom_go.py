"""A Go program that is killed for want of memory: what its runtime knew at that moment."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtrace.collect.oom import Kill, decode
from memtrace.host.procfs import start_ticks
from memtrace.kernel import wire
from memtrace.kernel.oom_probe import GoController, OomProbe
from memtrace.kernel.plan import QUESTIONS, oom_feature
from memtrace.kernel.support import kernel_facts
from memtrace.kills import NOT_CURRENT, READ, UNREADABLE
from tests.kernel.harness.agent import Agent
from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.golang import Binary, build
from tests.kernel.harness.workloads import Workloads
from tests.outcomes import unavailable

MIB = 1 << 20
LIMIT = 48 * MIB
HELD, TOO_MUCH = 24, 1000
FOUND = "memtrace_go_processes"
GC_PERCENT, MEMORY_LIMIT, HEAP_LIVE = slice(0, 4), slice(8, 16), slice(104, 112)
NO_LIMIT = (1 << 63) - 1


@pytest.fixture(scope="module")
def eat(tmp_path_factory: pytest.TempPathFactory) -> Binary:
    """The program that keeps memory."""
    return build("eat", tmp_path_factory.mktemp("go"))


@pytest.fixture
def probe() -> Iterator[OomProbe]:
    """Attached, knowing no Go program."""
    feature = oom_feature(kernel_facts(QUESTIONS))
    if not feature.enabled:
        unavailable(feature.reason)
    with OomProbe() as probe:
        yield probe


@pytest.fixture
def small() -> Iterator[Cgroup]:
    """A cgroup with a limit."""
    with Cgroup("go-oom") as cgroup:
        cgroup.limit(LIMIT)
        yield cgroup


def controller(binary: Binary, pid: int) -> GoController:
    """Where it is in a process of a program that is not position independent."""
    ticks = start_ticks(Path("/"), pid)
    assert ticks is not None
    return GoController(binary.base + binary.controller, ticks)


def started(cgroup: Cgroup, eat: Binary, most: int) -> subprocess.Popen[bytes]:
    """The program in the cgroup, about to keep memory."""
    child = cgroup.start(eat.path, str(most))
    assert child.stdout is not None
    assert child.stdout.readline() == b"0\n"
    return child


def eaten(child: subprocess.Popen[bytes], until: int) -> int:
    """Let it keep memory; how many MiB there are when it says so many, or at its end."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"\n")
    child.stdin.flush()
    last = 0
    for line in child.stdout:
        last = int(line)
        if last == until:
            break
    return last


def killed(probe: OomProbe, pid: int) -> Kill:
    """The record of its kill."""
    found: list[Kill | None] = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        probe.drain(lambda record: found.append(decode(record, 4096)))
        for kill in found:
            if kill is not None and kill.victim.tgid == pid:
                return kill
        time.sleep(0.05)
    raise AssertionError(f"no kill of {pid}")


def test_what_its_runtime_knew_is_read(probe: OomProbe, small: Cgroup, eat: Binary) -> None:
    """The heap as it was, to the last MiB it kept, and the settings: none."""
    child = started(small, eat, TOO_MUCH)
    probe.follow_go({child.pid: controller(eat, child.pid)})
    last = eaten(child, TOO_MUCH)
    go = killed(probe, child.pid).victim.go
    assert go is not None
    assert (go.state, len(go.block)) == (READ, wire.OOM_GO_BYTES)
    assert int.from_bytes(go.block[GC_PERCENT], "little") == 100
    assert int.from_bytes(go.block[MEMORY_LIMIT], "little") == NO_LIMIT
    live = int.from_bytes(go.block[HEAP_LIVE], "little")
    assert last * MIB <= live <= (last + 2) * MIB


def test_a_victim_that_is_not_current_says_so(
    probe: OomProbe, small: Cgroup, eat: Binary, workloads: Workloads
) -> None:
    """Another process ran into the limit: no bytes, and the reason."""
    child = started(small, eat, HELD)
    eaten(child, HELD)
    Path(f"/proc/{child.pid}/oom_score_adj").write_text("1000")
    probe.follow_go({child.pid: controller(eat, child.pid)})
    small.start(workloads["hog"], str(LIMIT))  # may be killed, too, before the first is gone
    go = killed(probe, child.pid).victim.go
    assert go is not None
    assert (go.state, go.block) == (NOT_CURRENT, b"")


def test_a_wrong_address_says_so(probe: OomProbe, small: Cgroup, eat: Binary) -> None:
    """Nothing is read where nothing is."""
    child = started(small, eat, TOO_MUCH)
    probe.follow_go({child.pid: controller(eat, child.pid)._replace(address=1 << 46)})
    eaten(child, TOO_MUCH)
    go = killed(probe, child.pid).victim.go
    assert go is not None
    assert (go.state, go.block) == (UNREADABLE, b"")


def test_another_process_of_the_same_number_is_none(
    probe: OomProbe, small: Cgroup, eat: Binary
) -> None:
    """Nor is one that is followed no longer."""
    child = started(small, eat, TOO_MUCH)
    known = controller(eat, child.pid)
    probe.follow_go({child.pid: known._replace(start_ticks=known.start_ticks - 1), 1: known})
    probe.follow_go({child.pid: known._replace(start_ticks=known.start_ticks - 1)})
    eaten(child, TOO_MUCH)
    assert killed(probe, child.pid).victim.go is None


def test_the_agent_records_what_a_go_victim_knew(
    small: Cgroup, eat: Binary, tmp_path: Path
) -> None:
    """The heap at the kill beside the limit, and no word of its not being known."""
    with Agent(tmp_path) as agent:
        child = started(small, eat, TOO_MUCH)
        agent.until(lambda: any(small.path in each for each in agent.metrics(FOUND)), 60)
        agent.next_sample()
        last = eaten(child, TOO_MUCH)
        (record,) = agent.of(small, 1)
    (process,) = [each for each in record["go"] if each["pid"] == child.pid]
    assert process["age_seconds"] == 0
    assert last * MIB <= process["heap_live_bytes"] <= (last + 2) * MIB
    assert (process["gogc"], process["gomemlimit_bytes"]) == (100, None)
    assert process["limit_bytes"] == LIMIT
    assert not any("Go heap" in gap or "Go processes" in gap for gap in record["gaps"])
