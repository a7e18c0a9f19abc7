"""Fixtures of the kernel tests: known workloads, rooms to run them in, one memtrace for all.

Also notes, for docs/kernels.md, what became of each module on this kernel.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from memtrace.collect.watches.stacks import EXACTNESS as SAMPLED
from memtrace.collect.watches.watching import EXACTNESS
from memtrace.host.hierarchy import find_hierarchy
from memtrace.kernel.go_plan import go_gc_feature
from memtrace.kernel.plan import QUESTIONS, STACKS, make_plan, oom_feature
from memtrace.kernel.support import kernel_facts
from memtrace.samples import Feature
from tests import noted
from tests.kernel.harness.cgroup import IS_V1
from tests.kernel.harness.files import disk_directory
from tests.kernel.harness.memtrace import Memtrace
from tests.kernel.harness.room import Rooms
from tests.kernel.harness.workloads import Workloads


@pytest.fixture(scope="session")
def workloads(tmp_path_factory: pytest.TempPathFactory) -> Workloads:
    """The compiled workloads."""
    return Workloads(tmp_path_factory.mktemp("workloads"))


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """A directory on a real disk, removed after the module."""
    with disk_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def rooms(disk: Path, workloads: Workloads) -> Iterator[Rooms]:
    """Rooms for workloads, closed after the module."""
    with Rooms(disk / "rooms", workloads) as rooms:
        yield rooms


@pytest.fixture(scope="session")
def memtrace() -> Iterator[Memtrace]:
    """One `memtrace top --json 1` for the whole run, its first snapshot already there."""
    with Memtrace() as running:
        running.first()
        yield running


ONE_SUM = "cgroup version 1 tells kernel memory as one sum"
V1_LACKS = {
    **dict.fromkeys(("threads", "tables", "percpu"), ONE_SUM),
    "huge-charged": "cgroup version 1 charges huge pages apart from other memory",
}
"""Subjects of tests/vm/composition.py that only version 2 knows."""


def this_kernel() -> noted.Column:
    """The column of the machine the tests run on."""
    column = noted.column(os.uname().release, find_hierarchy(Path("/")).mode)
    if not column.features:
        column.lacks.update(V1_LACKS if IS_V1 else {})
        facts = kernel_facts(QUESTIONS)
        plan = make_plan(facts)
        exactness = {**EXACTNESS, STACKS: SAMPLED}
        watched = {
            name: Feature(not each.missing, each.missing or exactness[name])
            for name, each in plan.on_demand.items()
        }
        features = {**plan.features, **watched, "oom": oom_feature(facts)}
        features["go_gc"] = go_gc_feature(facts)
        column.features = {
            name: {"enabled": feature.enabled, "reason": feature.reason}
            for name, feature in features.items()
        }
    return column


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what became of a module's tests."""
    made = yield
    if made.when == "call":
        this_kernel().note(item.path.stem, made)
    return made


def pytest_sessionfinish() -> None:
    """Keep what was found for docs/kernels.md."""
    noted.write()
