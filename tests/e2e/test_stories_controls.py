"""What must raise no false alarm: each runs beside the others, and all are explained at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.stories.explain import Answer, explain
from tests.e2e.stories.place import Place, Program
from tests.kernel.harness.files import PAGE, cold_file
from tests.kernel.harness.golang import build
from tests.kernel.harness.workloads import Workloads
from tests.told import Told

pytestmark = pytest.mark.timeout(600)

MIB = 1 << 20
SECONDS = 12.0
"""Enough for a leak to be a suspect."""
AT_ONCE = 3
LIMIT = 256 * MIB
LEAK_LIMIT = 2048 * MIB  # so that it is not reached before it is explained
WARM, MAPPED, KEPT = 96, 180, 160  # MiB


@dataclass
class Control:
    """A workload that runs, and what memtrace says of it."""

    place: Place
    program: Program
    answer: Answer | None = None

    def heard(self, told: Told, *expected: str) -> Answer:
        """The first verdict, which sets nothing of Go's."""
        assert self.answer is not None
        told.heard(self.answer.verdict, *expected)
        assert not self.answer.sets_go
        return self.answer


def steady(place: Place, service: Path) -> Program:
    """A service that collects now and then, with a GOMEMLIMIT below its limit."""
    program = Program(place, service, GOMEMLIMIT="200MiB", GOMAXPROCS="2")
    program.order("keep 30")
    program.order("churn 4096")
    return program


def two_procs(place: Place, service: Path) -> Program:
    """A service with an encoder for each P, and as many Ps as Go 1.25 has under one CPU."""
    program = Program(place, service, GOMEMLIMIT="200MiB", GOMAXPROCS="2")
    program.order("encoders 16 64")
    return program


def ballast(place: Place, service: Path) -> Program:
    """A service with a ballast, which GOMEMLIMIT alone holds, far below the limit."""
    program = Program(place, service, GOGC="off", GOMEMLIMIT="140MiB", GOMAXPROCS="2")
    program.order("encoders 40 2")
    program.order("churn 4096")
    return program


def in_tmpfs(place: Place, directory: Path) -> Program:
    """A program that keeps its files in tmpfs."""
    write = f"dd if=/dev/zero of={directory}/kept bs=1M count={KEPT} 2>/dev/null"
    return Program(place, "/bin/sh", "-c", f"{write}; echo ready; exec sleep 3600")


@pytest.fixture(scope="module")
def controls(
    tmp_path_factory: pytest.TempPathFactory, workloads: Workloads, disk: Path
) -> Iterator[dict[str, Control]]:
    """All of them, explained."""
    go = tmp_path_factory.mktemp("go")
    service, mapped = (build(name, go).path for name in ("service", "mapped"))
    warm, database = (
        cold_file(disk / name, size * MIB // PAGE)
        for name, size in (("warm", WARM), ("database", MAPPED))
    )
    start = {
        "leak": lambda place: Program(place, workloads["leak"], "100", "6144"),
        "steady": lambda place: steady(place, service),
        "procs": lambda place: two_procs(place, service),
        "warm": lambda place: Program(place, workloads["again"], warm),
        "mapped": lambda place: Program(place, mapped, database),
        "ballast": lambda place: ballast(place, service),
        "tmpfs": lambda place: in_tmpfs(place, Path(memory)),
    }
    with (
        TemporaryDirectory(dir="/dev/shm") as memory,
        ExitStack() as places,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        running = {}
        for name, begin in start.items():
            place = places.enter_context(Place(name))
            place.limit(LEAK_LIMIT if name == "leak" else LIMIT)
            place.quota(1)
            running[name] = Control(place, begin(place))
        paths = [each.place.path for each in running.values()]
        answers = pool.map(lambda path: explain(path, SECONDS), paths)
        for control, answer in zip(running.values(), answers, strict=True):
            control.answer = answer
        yield running


def test_a_steady_service_is_healthy(controls: dict[str, Control]) -> None:
    """Nothing to be said of it."""
    told = Told("control: steady service", "Go: 30 MiB live, 4 MiB of garbage a second")
    controls["steady"].heard(told, "healthy")


def test_two_procs_under_one_cpu_are_healthy(controls: dict[str, Control]) -> None:
    """What Go 1.25 and later choose themselves is no mistake."""
    told = Told("control: 2 procs", "Go: an encoder of 16 MiB for each of GOMAXPROCS=2, 1 CPU")
    controls["procs"].heard(told, "healthy")


def test_a_warm_cache_is_no_problem(controls: dict[str, Control]) -> None:
    """A file that is read again and again out of the cache."""
    told = Told("control: warm cache", f"C: reads a file of {WARM} MiB once a second")
    answer = controls["warm"].heard(told, "page_cache_reclaimable")
    told.figure("clean page cache", answer.verdict["bytes"], WARM * MIB)
    assert not answer.alarms


def test_a_mapped_database_gets_no_gomemlimit(controls: dict[str, Control]) -> None:
    """A Go program whose memory is a mapped file: that GOMEMLIMIT is wrong there is said."""
    told = Told("control: mapped database", f"Go: looks up pages of a mapped {MAPPED} MiB file")
    answer = controls["mapped"].heard(told, "page_cache_reclaimable")
    told.figure("clean page cache", answer.verdict["bytes"], MAPPED * MIB)
    assert not answer.alarms
    assert "GOMEMLIMIT" in [each["setting"] for each in answer.advice]


def test_a_ballast_that_gomemlimit_holds_is_healthy(controls: dict[str, Control]) -> None:
    """GOGC=off is no mistake where GOMEMLIMIT leaves room below the limit and in itself."""
    told = Told("control: ballast", "Go: GOGC=off, GOMEMLIMIT=140MiB, 80 MiB live, limit 256 MiB")
    answer = controls["ballast"].heard(told, "healthy")
    assert "GOMEMLIMIT 140 MiB" in answer.text


def test_files_in_tmpfs_are_no_cache_to_drop(controls: dict[str, Control]) -> None:
    """They count as cache, and that they cannot be dropped is said; nothing says it could be."""
    told = Told("control: tmpfs", f"sh: keeps {KEPT} MiB in a file in tmpfs, limit 256 MiB")
    answer = controls["tmpfs"].heard(told, "shmem")
    told.figure("in tmpfs", answer.verdict["bytes"], KEPT * MIB)
    assert not answer.alarms
    assert "cannot drop" in answer.verdict["claim"]
    assert not {"nothing", "memory limit"} & {each["setting"] for each in answer.advice}


def test_a_leak_that_is_none_of_gos_is_a_suspect(controls: dict[str, Control]) -> None:
    """Growing memory of a C program, as much as it says, without a word of Go."""
    told = Told("control: leak in C", "C: 100 MiB, and 6 MiB more each second")
    answer = controls["leak"].heard(told, "anon_growth")
    told.figure("pace", answer.evidence("pace"), 6, "MiB per second")
