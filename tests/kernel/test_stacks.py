"""Which code made the page cache grow: sampled stacks of Go programs that write known amounts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtrace.collect.watches.stacks import StackRow, StackWatch
from memtrace.host.hierarchy import find_hierarchy
from memtrace.kernel import wire
from memtrace.kernel.plan import QUESTIONS, STACKS, make_plan
from memtrace.kernel.session import Session
from memtrace.kernel.support import kernel_facts
from memtrace.samples import KINDS
from tests.kernel.harness.bpf import attached_programs, held_by
from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.golang import Binary, Functions, build, stripped
from tests.outcomes import unavailable

PAGE = 4096
SMALL, LARGE = 6007, 24007
PERIOD = 16


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """The page cache's programs, attached in this process."""
    plan = make_plan(kernel_facts(QUESTIONS))
    if plan.on_demand[STACKS].missing:
        unavailable(plan.on_demand[STACKS].missing)
    with Session(plan, find_hierarchy(Path("/")).hierarchy_id) as session:
        yield session


@pytest.fixture
def watch(session: Session) -> Iterator[StackWatch]:
    """Attached, looking at nobody."""
    plan = make_plan(kernel_facts(QUESTIONS))
    watch = StackWatch(session, plan.on_demand[STACKS], PERIOD)
    watch.arm()
    assert watch.armed, watch.feature.reason
    yield watch
    watch.disarm()


@pytest.fixture(scope="module", params=["static", "pie"])
def write(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Binary:
    """The program that writes two files."""
    flags = ("-buildmode=pie",) if request.param == "pie" else ()
    return build("write", tmp_path_factory.mktemp("go"), *flags)


def gathered(session: Session, watch: StackWatch) -> list[StackRow]:
    """All rows, as after an interval."""
    for _ in session.gather():
        pass
    watch.gather()
    return watch.table.rows(PAGE)


def named(row: StackRow, functions: Functions) -> list[str]:
    """The functions of a row's stack, wherever the kernel put the program."""
    assert row.text is not None
    return [functions.name(pc - 1 - row.text + functions.text) for pc in row.pcs]


def cause(row: StackRow, functions: Functions) -> str:
    """Which of the two functions it came from."""
    found = {"main.writeSmall", "main.writeLarge"} & set(named(row, functions))
    assert len(found) == 1, named(row, functions)
    return found.pop()


def test_bytes_are_put_down_to_the_functions_that_wrote_them(
    session: Session, watch: StackWatch, write: Binary, disk: Path
) -> None:
    """Shares as written, their sum as charged, each file by its function; no names are needed."""
    directory = disk / write.path.name
    directory.mkdir()
    functions = Functions(write)
    with Cgroup("writes") as cgroup:
        watch.aim(frozenset({cgroup.cgroup_id}))
        child = cgroup.hold(stripped(write).path, directory, str(SMALL), str(LARGE))
        rows = [row for row in gathered(session, watch) if KINDS[row.kind] == "write"]
        charged = cgroup.file_bytes()
        assert {(row.cgroup_id, row.tgid) for row in rows} == {(cgroup.cgroup_id, child.pid)}
    assert watch.unkept_pages() == 0
    assert all(named(row, functions)[-2] == "runtime.main" for row in rows)
    amounts, places = Counter[str](), set()
    for row in rows:
        amounts[cause(row, functions)] += row.bytes
        places.add((cause(row, functions), wire.FILE.unpack(row.file)[0]))
    assert amounts["main.writeSmall"] == pytest.approx(SMALL * PAGE, rel=0.2)
    assert amounts["main.writeLarge"] == pytest.approx(LARGE * PAGE, rel=0.1)
    assert amounts.total() == pytest.approx(charged, rel=0.1)
    assert places == {
        ("main.writeSmall", (directory / "small").stat().st_ino),
        ("main.writeLarge", (directory / "large").stat().st_ino),
    }


def test_others_are_not_looked_at(session: Session, watch: StackWatch, disk: Path) -> None:
    """What no watched cgroup pays for is in no row."""
    with Cgroup("watched") as watched, Cgroup("other") as other:
        watch.aim(frozenset({watched.cgroup_id}))
        for cgroup in (watched, other):
            path = disk / f"of-{cgroup.cgroup_id}"
            cgroup.run("dd", "if=/dev/zero", f"of={path}", "bs=4k", "count=2003")
        rows = gathered(session, watch)
        assert {row.cgroup_id for row in rows} == {watched.cgroup_id}


def test_all_are_looked_at_when_nobody_is_named(
    session: Session, watch: StackWatch, disk: Path
) -> None:
    """And what is dropped after a sample is counted again from nothing."""
    with Cgroup("any") as cgroup:
        watch.aim(None)
        cgroup.run("dd", "if=/dev/zero", f"of={disk / 'any'}", "bs=4k", "count=2003")
        mine = [row for row in gathered(session, watch) if row.cgroup_id == cgroup.cgroup_id]
        amount = sum(row.bytes for row in mine if KINDS[row.kind] == "write")
        assert amount == pytest.approx(2003 * PAGE, rel=0.25)
        watch.disarm()
        assert watch.table.rows(PAGE) == []


def test_it_leaves_nothing_in_the_kernel(session: Session) -> None:
    """Neither program nor map, and nothing of it is there before it is asked for."""
    plan = make_plan(kernel_facts(QUESTIONS))
    before, programs = held_by(os.getpid()), attached_programs(os.getpid())
    watch = StackWatch(session, plan.on_demand[STACKS], PERIOD)
    assert held_by(os.getpid()) == before
    watch.arm()
    assert len(held_by(os.getpid())) > len(before)
    watch.disarm()
    assert held_by(os.getpid()) == before
    assert attached_programs(os.getpid()) == programs
