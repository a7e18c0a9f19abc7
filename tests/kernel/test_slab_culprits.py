"""Who makes kernel memory grow: known look-ups, named by process and system call, to the object.

`make check-long` (MEMTRACE_SLAB_FILES=100003) adds a real container that makes so many files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memtrace.collect.events import TaskNamed, decode
from memtrace.collect.slab_watch import SlabWatcher
from memtrace.host.cgroupfs import CgroupReader
from memtrace.host.hierarchy import find_hierarchy
from memtrace.kernel.plan import QUESTIONS, make_plan
from memtrace.kernel.session import Session
from memtrace.kernel.support import kernel_facts
from memtrace.samples import SlabCulpritRow
from tests.kernel.harness.bpf import attached_programs
from tests.kernel.harness.cgroup import Cgroup, ExistingCgroup
from tests.kernel.harness.containerd import NAMESPACE, Containerd
from tests.kernel.harness.memtrace import Memtrace
from tests.kernel.harness.workloads import SOURCES, Workloads
from tests.outcomes import unavailable

pytestmark = pytest.mark.kernel

FILES = int(os.environ.get("MEMTRACE_SLAB_FILES", "0"))
ARMING = 5003  # files, made twice: more than 4 MiB each time

STEP, FEW = 30011, 503
"""Names in one go: 6 MB of dentries, which is growth; and too few to be any."""
PROGRAM = "on_kmem_cache_alloc"
STAT = {"stat", "newfstatat", "statx"}
OPEN = {"open", "openat"}


class Lookups:
    """A held workload that does its next share when told to."""

    def __init__(self, cgroup: Cgroup, workloads: Workloads, directory: Path, count: int) -> None:
        directory.mkdir()
        self.cgroup = cgroup
        self.child = cgroup.hold(workloads["lookups"], directory, str(count))

    def do(self, what: bytes) -> None:
        """Ask for missing names (m) or make files (c), and wait until it is done."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(what)
        self.child.stdin.flush()
        assert self.child.stdout.readline() == b"ready\n"


class Watched:
    """A watcher of the test's own cgroups alone: what else grows on the machine arms nothing."""

    def __init__(self, session: Session, *cgroups: Cgroup) -> None:
        self._session = session
        self._cgroups = cgroups
        self._reader = CgroupReader(find_hierarchy(Path("/")))
        self._names: dict[bytes, str] = {}
        self._now = 1000.0
        feature = make_plan(kernel_facts(QUESTIONS)).features["slab_culprits"]
        self.watcher = SlabWatcher(session, feature, self._names.get)

    def sample(self, seconds: float = 2.0) -> list[tuple[SlabCulpritRow, ...]]:
        """The rows of each cgroup, as if so much time had gone by."""
        self._now += seconds
        self.watcher.gather()
        self._session.drain_events(self._learn)
        rows = []
        for cgroup in self._cgroups:
            memory = self._reader.read(cgroup.cgroup_id, cgroup.path)
            rows.append(self.watcher.of(cgroup.cgroup_id, memory, False, False).rows)
        self.watcher.decide(self._now, time.time())
        return rows

    def _learn(self, record: memoryview) -> None:
        event = decode(record)
        if isinstance(event, TaskNamed):
            self._names[event.process] = event.comm.decode()


@pytest.fixture
def session() -> Iterator[Session]:
    """memtrace's programs, attached in this process."""
    plan = make_plan(kernel_facts(QUESTIONS))
    if not plan.slab_culprits:
        unavailable(plan.features["slab_culprits"].reason)
    with Session(plan, find_hierarchy(Path("/")).hierarchy_id) as session:
        yield session


@pytest.fixture
def cgroups() -> Iterator[tuple[Cgroup, Cgroup]]:
    """One that grows, and one that does not."""
    with Cgroup("grows") as grows, Cgroup("bystander") as bystander:
        yield grows, bystander


def objects(
    rows: tuple[SlabCulpritRow, ...], child: subprocess.Popen[bytes], calls: set[str], cache: str
) -> int:
    """What this process, under its own name, had allocated from caches with this in their name."""
    return sum(
        row.objects
        for row in rows
        if row.syscall in calls
        and cache in row.cache
        and (row.tgid, row.comm) == (child.pid, "lookups")
    )


def test_growth_is_watched_and_its_culprit_named(
    session: Session, cgroups: tuple[Cgroup, Cgroup], workloads: Workloads, disk: Path
) -> None:
    """Nothing attached before growth, one program during it, nothing after; to the object."""
    watched = Watched(session, *cgroups)
    one = Lookups(cgroups[0], workloads, disk / "grows", STEP)
    other = Lookups(cgroups[1], workloads, disk / "bystander", FEW)
    assert PROGRAM not in attached_programs(os.getpid())
    watched.sample()
    one.do(b"m")
    watched.sample()
    assert PROGRAM not in attached_programs(os.getpid())
    one.do(b"m")
    watched.sample()
    assert PROGRAM in attached_programs(os.getpid())
    one.do(b"m")
    one.do(b"c")
    other.do(b"m")
    rows, bystanders = watched.sample()
    assert objects(rows, one.child, STAT, "dentry") == STEP
    assert objects(rows, one.child, OPEN, "dentry") == STEP
    assert objects(rows, one.child, OPEN, "inode") == STEP
    assert objects(rows, one.child, STAT, "inode") == 0
    assert objects(bystanders, other.child, STAT, "dentry") == FEW
    assert objects(rows, other.child, STAT, "") == objects(bystanders, one.child, STAT, "") == 0
    for _ in range(6):
        watched.sample()
    assert PROGRAM not in attached_programs(os.getpid())
    other.do(b"m")
    assert objects(watched.sample()[1], other.child, STAT, "dentry") == FEW


def test_the_command_names_the_culprit(workloads: Workloads, disk: Path) -> None:
    """`top --json` says who it is, since when it watches, and what grew before that."""
    with Cgroup("culprit") as cgroup, Memtrace("--no-baseline", interval=0.5) as memtrace:
        feature = memtrace.first()["features"]["slab_culprits"]
        if not feature["enabled"]:
            unavailable(feature["reason"])
        lookups = Lookups(cgroup, workloads, disk / "command", STEP)
        for _ in range(20):
            lookups.do(b"m")
            if memtrace.next()["slab_watch"]["armed"]:
                break
        assert PROGRAM in attached_programs(memtrace.pid)
        before = told(memtrace, cgroup, lookups)
        lookups.do(b"m")
        assert told(memtrace, cgroup, lookups) - before == STEP
        snapshot = memtrace.next()
        assert snapshot["slab_watch"]["since"] <= time.time()
        assert snapshot.row(cgroup.path)["slab_unwatched_bytes"] is not None


def told(memtrace: Memtrace, cgroup: Cgroup, lookups: Lookups) -> int:
    """Dentries that `top --json` puts down to the workload's look-ups."""
    slab: list[dict[str, Any]] = memtrace.next().row(cgroup.path)["slab"] or []
    return sum(
        culprit["objects"]
        for cache in slab
        if cache["cache"] == "dentry"
        for culprit in cache["culprits"]
        if culprit["pid"] == lookups.child.pid
        and culprit["comm"] == "lookups"
        and culprit["syscall"] in STAT
    )


class Maker:
    """A container that makes, finds or removes files in its volume when told to."""

    def __init__(self, containerd: Containerd, disk: Path) -> None:
        self._containerd = containerd
        self._volume = disk / "volume"
        self._volume.mkdir()
        command = ["gcc", "-O1", "-static", "-o", self._volume / "names", SOURCES / "names.c"]
        subprocess.run(command, check=True)
        containerd.run("maker", self._volume, "/bin/sleep", "600")
        self.cgroup = ExistingCgroup(f"/{NAMESPACE}/maker")

    def do(self, what: str, directory: str, count: int) -> None:
        """Make, find or remove so many files in a directory of their own."""
        (self._volume / directory).mkdir(exist_ok=True)
        task = ("tasks", "exec", "--exec-id", f"{what}-{directory}", "maker")
        self._containerd.ctr(*task, "/data/names", what, f"/data/{directory}", str(count))


@pytest.fixture
def maker(disk: Path) -> Iterator[Maker]:
    """The container, gone afterwards."""
    for program in ("containerd", "ctr", "runc", "busybox"):
        if not shutil.which(program):
            unavailable(f"{program} is not installed")
    with Containerd(disk) as containerd:
        yield Maker(containerd, disk)


if FILES:  # make check-long

    def test_a_container_that_made_found_and_removed_files_is_named_and_left(
        session: Session, maker: Maker
    ) -> None:
        """Its name and system call with as many objects as files; then no program is attached."""
        watched = Watched(session, maker.cgroup)
        watched.sample()
        for directory in ("first", "second"):
            maker.do("make", directory, ARMING)
            watched.sample()
        assert PROGRAM in attached_programs(os.getpid())
        maker.do("make", "many", FILES)
        (rows,) = watched.sample()
        for cache in ("dentry", "inode"):
            made = [row for row in rows if row.syscall in OPEN and cache in row.cache]
            assert {row.comm for row in made if row.objects > ARMING} == {"names"}
            assert FILES <= sum(row.objects for row in made) <= 1.01 * FILES
        for what in ("find", "remove"):
            maker.do(what, "many", FILES)
            watched.sample()
        for _ in range(7):
            watched.sample()
        assert PROGRAM not in attached_programs(os.getpid())
