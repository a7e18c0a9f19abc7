"""Stories of Go's settings: S3, S5 and S6; their advice is followed, too.

Sizes: limits and heaps are 1:4 of the stories', the encoders of S3 are as large as they were.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.stories.explain import Answer, explain
from tests.e2e.stories.place import Place, Program
from tests.e2e.stories.recorder import Recorder
from tests.kernel.harness.agent import Agent
from tests.kernel.harness.golang import build
from tests.outcomes import unavailable
from tests.told import NEAR, Told

pytestmark = pytest.mark.timeout(300)

MIB = 1 << 20
SECONDS, RATE_SECONDS = 6.0, 10.0
"""How long to watch; longer where the verdict rests on how often it collects."""
SIGKILL = -9
READY_SECONDS = 90.0
FLAT_OUT = "churn -1"

ENCODER, NODE_CPUS, QUOTA, LOAD, PART = 16, 32, 2, 64, 20
"""S3: MiB, the CPUs of the node and of the container, all requests, and those of a quiet hour."""
S3_LIMIT = 500 * MIB
S5_LIMIT, S5_LIVE, S5_CHURN = 200 * MIB, 120, 512
"""80 MiB beside the live heap, at half a MiB a second: a slow machine has time to look at it."""
THRASH_LIMIT, THRASH_LIVE, LOW = 256 * MIB, 60, 10
SPIRAL_LIMIT, SPIRAL_LIVE, SPIRAL_CHURN = 128 * MIB, 112, 8192
TRIES, FAIR = 3, 0.4
"""What is judged is time of a CPU: while others have it, it is tried again, so often."""
TIGHT = SPIRAL_LIVE * MIB // 10
"""Less to allocate between collections than this is a spiral, however often they come."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service that is told what to do."""
    return build("service", tmp_path_factory.mktemp("go")).path


@pytest.fixture
def place() -> Iterator[Place]:
    """Without limits, until a story sets them."""
    with Place("story") as place:
        yield place


@pytest.fixture
def again() -> Iterator[Place]:
    """A second one, for the same with other settings."""
    with Place("advised") as place:
        yield place


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One agent that records kills."""
    with Agent(tmp_path_factory.mktemp("agent")) as running:
        yield running


def until(reached: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
    """Wait for a workload to be where its story is."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "the workload did not get there"
        time.sleep(0.2)


def rate(program: Program, figure: str, seconds: float = 2.0) -> float:
    """How much more of one of its own figures there is a second."""
    before, begun = program.stats()[figure], time.monotonic()
    time.sleep(seconds)
    return float(program.stats()[figure] - before) / (time.monotonic() - begun)


def fairly(place: Place, program: Program) -> Answer:
    """Explain a program that wants its whole CPU while it gets a good part of it."""
    for _ in range(TRIES):
        used, begun = cpu_seconds(program.pid), time.monotonic()
        answer = explain(place.path, RATE_SECONDS, "--no-baseline")
        share = (cpu_seconds(program.pid) - used) / (time.monotonic() - begun)
        if share >= FAIR:
            return answer
    unavailable(f"others have the CPUs: the service gets {share:.0%} of the one it may use")


def room(program: Program) -> int:
    """How much it allocates between two collections, in bytes, however much CPU time it gets."""
    own = program.stats()
    return int(own["goal_bytes"] - own["kept_bytes"])


def garbage(program: Program, seconds: float = 3.0) -> float:
    """Bytes of garbage that it makes for each second of CPU time, whoever else wants the CPUs."""
    made, used = program.stats()["churned_bytes"], cpu_seconds(program.pid)
    time.sleep(seconds)
    spent = cpu_seconds(program.pid) - used
    assert spent > 0, "it got no CPU time"
    return float(program.stats()["churned_bytes"] - made) / spent


def cpu_seconds(pid: int) -> float:
    """What a process has used so far: utime and stime of /proc/PID/stat."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def encoding(place: Place, service: Path, requests: int, procs: int) -> Program:
    """S3: a service with encoders for so many requests at once."""
    place.limit(S3_LIMIT)
    place.quota(QUOTA)
    program = Program(place, service, GOMAXPROCS=str(procs))
    program.order(f"encoders {ENCODER} {requests}")
    return program


def recorded(place: Place, directory: Path) -> Answer:
    """Explain it while it is recorded, and insist that the recording says the same."""
    file = directory / "story.mtr"
    with Recorder(file):
        live = explain(place.path, SECONDS)
    replayed = explain(place.path, SECONDS, "--from", str(file))
    assert (replayed.id, replayed.others) == (live.id, live.others)
    settings = [[each["setting"] for each in answer.advice] for answer in (replayed, live)]
    assert settings[0] == settings[1]
    assert replayed.verdict["bytes"] == pytest.approx(live.verdict["bytes"], rel=NEAR)
    return live


def test_s3_more_procs_than_cpus(
    place: Place, again: Place, service: Path, agent: Agent, tmp_path: Path
) -> None:
    """GOMAXPROCS of the node under the quota of the container: said before and after the kill."""
    told = Told("S3", f"{ENCODER} MiB for each of GOMAXPROCS={NODE_CPUS}, {QUOTA} CPUs, 500 MiB")
    program = encoding(place, service, PART, NODE_CPUS)
    answer = recorded(place, tmp_path)
    told.heard(answer.verdict, "gomaxprocs_over_quota")
    told.figure("GOMAXPROCS", answer.evidence("GOMAXPROCS"), NODE_CPUS, "")
    told.figure("CPU quota", answer.evidence("CPU quota"), QUOTA, "")
    told.figure("heap in use", answer.evidence("heap in use"), program.stats()["in_use_bytes"])
    procs = answer.advised("GOMAXPROCS")
    assert procs == QUOTA
    program.order(f"encoders {ENCODER} {LOAD}")
    assert program.end_of(10) == SIGKILL
    (record,) = agent.of(place, 1)
    assert record["verdict"]["id"] == "gomaxprocs_over_quota"
    assert QUOTA in [each["to"] for each in record["advice"] if each["setting"] == "GOMAXPROCS"]
    assert encoding(again, service, LOAD, procs).lives
    assert again.peak_bytes() < S3_LIMIT / 4
    peak = again.peak_bytes() >> 20
    told.after(f"killed at 500 MiB; with GOMAXPROCS={procs} the same load peaks at {peak} MiB")


def peaking(place: Place, service: Path, **settings: str) -> Program:
    """S5 before its peak: a live heap that may double, growing slowly."""
    place.limit(S5_LIMIT)
    program = Program(place, service, **settings)
    program.order(f"keep {S5_LIVE}")
    program.order(f"churn {S5_CHURN}")
    return program


def test_s5_a_goal_beyond_the_limit(
    place: Place, again: Place, service: Path, agent: Agent, tmp_path: Path
) -> None:
    """Known before it is killed, told by the record of the kill, and no kill as advised."""
    told = Told("S5", f"{S5_LIVE} MiB live, GOGC=100, no GOMEMLIMIT, under 200 MiB")
    program = peaking(place, service)
    answer = recorded(place, tmp_path)
    own = program.stats()
    told.heard(answer.verdict, "go_goal_over_limit")
    told.figure("goal", answer.evidence("heap goal"), own["goal_bytes"])
    told.figure("live", answer.evidence("live heap"), own["kept_bytes"])
    advised = answer.advised("GOMEMLIMIT")
    assert advised <= 0.9 * S5_LIMIT
    program.order(FLAT_OUT)
    assert program.end_of(20) == SIGKILL
    (record,) = agent.of(place, 1)
    assert record["verdict"]["id"] == "go_goal_over_limit"
    assert "GOMEMLIMIT" in [each["setting"] for each in record["advice"]]
    better = peaking(again, service, GOMEMLIMIT=str(advised))
    better.order(FLAT_OUT)
    assert better.end_of(4) is None
    assert again.peak_bytes() < S5_LIMIT
    peak = again.peak_bytes() >> 20
    told.after(f"killed; with GOMEMLIMIT={advised >> 20}MiB the same peak ends at {peak} MiB")


def thrashing(place: Place, service: Path, gogc: int) -> Program:
    """S6: a service that makes garbage as fast as it can."""
    place.limit(THRASH_LIMIT)
    place.quota(1)
    program = Program(place, service, GOGC=str(gogc))
    program.order(f"keep {THRASH_LIVE}")
    program.order(FLAT_OUT)
    return program


def test_s6_a_low_gogc(place: Place, again: Place, service: Path) -> None:
    """GOGC=10 costs CPU time; as advised the same service does more."""
    told = Told("S6 GOGC", f"{THRASH_LIVE} MiB live, garbage flat out, GOGC={LOW}, 1 CPU")
    program = thrashing(place, service, LOW)
    answer = fairly(place, program)
    told.heard(answer.verdict, "gogc_low")
    told.figure("GOGC", answer.evidence("GOGC"), LOW, "")
    slow = garbage(program)
    place.end()
    better = thrashing(again, service, answer.advised("GOGC"))
    fast = garbage(better)
    assert better.lives
    assert fast > 1.3 * slow
    told.after(
        f"{slow / MIB:.0f} MiB of garbage for a second of CPU time; with "
        f"GOGC={answer.advised('GOGC')} {fast / MIB:.0f}, "
        f"at most {again.peak_bytes() >> 20} MiB in use"
    )


def test_s6_a_limit_as_gomemlimit(place: Place, service: Path) -> None:
    """GOMEMLIMIT equal to the limit leaves nothing for the rest."""
    told = Told("S6 GOMEMLIMIT", f"{SPIRAL_LIVE // 2} MiB live, GOMEMLIMIT = limit = 128 MiB")
    place.limit(SPIRAL_LIMIT)
    program = Program(place, service, GOMEMLIMIT=str(SPIRAL_LIMIT))
    program.order(f"keep {SPIRAL_LIVE // 2}")
    program.order("churn 2048")
    answer = explain(place.path, SECONDS)
    told.heard(answer.verdict, "gomemlimit_at_limit")
    told.figure("GOMEMLIMIT", answer.evidence("GOMEMLIMIT"), SPIRAL_LIMIT)
    told.figure("goal", answer.evidence("heap goal"), program.stats()["goal_bytes"])
    assert answer.advised("GOMEMLIMIT") <= 0.9 * SPIRAL_LIMIT


def spiralling(place: Place, service: Path, limit: int, gomemlimit: int) -> Program:
    """S6: as much live heap as GOMEMLIMIT is hardly more than."""
    place.limit(limit)
    place.quota(1)
    program = Program(place, service, GOMEMLIMIT=str(gomemlimit))
    program.order(f"keep {SPIRAL_LIVE}")
    program.order(f"churn {SPIRAL_CHURN}")
    return program


def test_s6_a_death_spiral(place: Place, again: Place, service: Path) -> None:
    """A live heap close to GOMEMLIMIT does little else than collect; with room it works."""
    told = Told("S6 spiral", f"{SPIRAL_LIVE} MiB live, GOMEMLIMIT = limit = 128 MiB, 1 CPU")
    program = spiralling(place, service, SPIRAL_LIMIT, SPIRAL_LIMIT)
    until(lambda: rate(program, "collections", 1.0) > 0.5 and room(program) < TIGHT)
    answer = fairly(place, program)
    tight = room(program)
    told.heard(answer.verdict, "gc_death_spiral")
    told.figure("GOMEMLIMIT", answer.evidence("GOMEMLIMIT"), SPIRAL_LIMIT)
    told.figure("live", answer.evidence("live heap"), program.stats()["kept_bytes"])
    limit, own = answer.advised("memory limit"), answer.advised("GOMEMLIMIT")
    better = spiralling(again, service, limit, own)
    until(lambda: room(better) > 4 * TIGHT)
    told.after(
        f"{max(0, tight) / MIB:.1f} MiB between collections; with a limit of {limit >> 20} MiB and "
        f"GOMEMLIMIT={own >> 20}MiB {room(better) / MIB:.0f}"
    )
