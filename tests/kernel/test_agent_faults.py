"""An agent killed in a storm of kills, without room on its disk, without its directories."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import jsonschema
import pytest

from memtrace.store.reader import Recording
from tests.kernel.harness.agent import Agent
from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.oom import LIMIT, TOO_MUCH, Record, counted, ended, start
from tests.kernel.harness.workloads import Workloads
from tests.kernel.test_oom import SCHEMA

KILLS = 60
PAUSE = 0.06  # seconds between kills: 60 take 6 s and more
EACH = 9  # kills until the agent is killed itself
ROOM = "6m"
DUTIES = ("history", "oom_records")

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def hog(workloads: Workloads) -> Path:
    """The program that takes memory."""
    return workloads["hog"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is soon full."""
    point = tmp_path / "small"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "none", point], check=True)
    yield point
    subprocess.run(["umount", point], check=True)


def one_kill(cgroup: Cgroup, hog: Path) -> int:
    """A process killed in the cgroup; its pid."""
    pid = start(cgroup, hog, str(TOO_MUCH))
    assert ended(pid) == -signal.SIGKILL
    return pid


def all_are_valid(records: list[Record]) -> bool:
    """Whether all are whole and of the schema; raises for one that is not."""
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    for record in records:
        validator.validate(record)
    return bool(records)


def pids(records: list[Record]) -> list[int]:
    """All victims of these records."""
    return [victim["pid"] for record in records for victim in record["victims"]]


class Storm(Thread):
    """Kills in three cgroups in turn, one after the other."""

    def __init__(self, cgroups: list[Cgroup], hog: Path) -> None:
        super().__init__()
        self._cgroups, self._hog = cgroups, hog
        self.killed: list[int] = []

    def run(self) -> None:
        """Until there were so many."""
        for number in range(KILLS):
            self.killed.append(one_kill(self._cgroups[number % 3], self._hog))
            time.sleep(PAUSE)

    def so_many_more(self, count: int) -> Callable[[], bool]:
        """Whether there were so many more since now, or it is over."""
        enough = len(self.killed) + count
        return lambda: len(self.killed) >= enough or not self.is_alive()


def test_killed_twice_in_a_storm_of_kills_it_tells_each_once(tmp_path: Path, hog: Path) -> None:
    """Recorded and seen late together are what the kernel counted, in each cgroup."""
    with ExitStack() as stack:
        cgroups = [stack.enter_context(Cgroup(f"storm{number}")) for number in range(3)]
        for cgroup in cgroups:
            cgroup.limit(LIMIT)
        storm = Storm(cgroups, hog)
        with Agent(tmp_path) as agent:
            storm.start()
            agent.until(storm.so_many_more(EACH), 60)
            agent.stop(signal.SIGKILL)
        with Agent(tmp_path) as agent:
            agent.until(storm.so_many_more(EACH), 60)
            agent.stop(signal.SIGKILL)
        with Agent(tmp_path) as agent:
            storm.join()
            agent.until(lambda: sum(kills(agent, each) for each in cgroups) >= KILLS, 30)
            time.sleep(1)  # for one too many
            assert [kills(agent, each) for each in cgroups] == [counted(each) for each in cgroups]
            records = [record for each in cgroups for record in agent.of(each, 0)]
            assert agent.stop() == 0
    assert sum(record["kills"] for record in records) == KILLS
    assert len(set(pids(records))) == len(pids(records))
    assert set(pids(records)) <= set(storm.killed)
    assert all_are_valid(records)
    with Recording(agent.history) as past:
        assert len({moment.run for moment in past.moments}) == 3
        assert [past.sample(index).time for index in range(len(past.moments))]


def kills(agent: Agent, cgroup: Cgroup) -> int:
    """How many kills the records of a cgroup tell of."""
    return sum(record["kills"] for record in agent.of(cgroup, 0))


def test_what_cannot_be_written_waits_and_is_said_once(small_disk: Path, hog: Path) -> None:
    """A full disk, then its directories gone and a file in their place."""
    with Cgroup("faults") as cgroup, Agent(small_disk) as agent:
        cgroup.limit(LIMIT)
        victims = [one_kill(cgroup, hog)]
        agent.of(cgroup, 1)
        fill(small_disk / "fill")
        victims += [one_kill(cgroup, hog), one_kill(cgroup, hog)]
        agent.until(lambda: is_degraded(agent), 30)
        assert len(agent.of(cgroup, 0)) == 1
        (small_disk / "fill").unlink()
        agent.until(lambda: agent.ask("/healthz")["status"] == "ok", 40)
        assert pids(agent.of(cgroup, 3)) == victims
        first = {name: said(agent, name) for name in DUTIES}

        for place in (agent.records_dir, agent.history.parent):
            shutil.rmtree(place)
            place.write_text("in the way")
        victims.append(one_kill(cgroup, hog))
        agent.until(lambda: is_degraded(agent), 30)
        for place in (agent.records_dir, agent.history.parent):
            place.unlink()
        agent.until(lambda: agent.ask("/healthz")["status"] == "ok", 40)
        (record,) = [json.loads(path.read_text()) for path in agent.records_dir.glob("*.json")]
        assert pids([record]) == victims[-1:]
        assert all_are_valid(agent.records())
        agent.until(lambda: (agent.history.parent / "oom_counters.json").exists(), 10)
        assert first == {name: ["feature_off", "feature_on"] for name in DUTIES}
        assert {name: said(agent, name) for name in DUTIES} == {
            name: 2 * each for name, each in first.items()
        }
        assert agent.stop() == 0
        with Recording(agent.history) as past:
            assert [past.sample(index).time for index in range(len(past.moments))]


def fill(path: Path) -> None:
    """Take all the room there is, to the last page."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def is_degraded(agent: Agent) -> bool:
    """Whether it says that neither history nor records can be kept."""
    return set(DUTIES) <= set(agent.ask("/healthz")["degraded"])


def said(agent: Agent, feature: str) -> list[str]:
    """What it logged about a feature, in this order."""
    lines = [json.loads(line) for line in agent.errors.splitlines() if line.endswith("}")]
    return [line["event"] for line in lines if line.get("feature") == feature]
