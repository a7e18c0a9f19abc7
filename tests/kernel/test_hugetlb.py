"""Pages of hugetlbfs are no page cache: memory.stat leaves them out of it, and so does memtrace."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.harness.expect import assert_exact, same_file
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.hugepages import HugePages, huge_pages
from tests.kernel.harness.memtrace import PROGRAM, Memtrace, Row
from tests.kernel.harness.quiet import Quiet
from tests.kernel.harness.room import Room, Rooms

COUNT = 5
TOUCHED = 3 * COUNT  # a file's, shared and private memory's: see tests/workloads/hugetlb.c


@dataclass(frozen=True)
class Scene:
    """A workload that holds huge pages and some ordinary ones, and what memtrace says of it."""

    room: Room
    pid: int
    pages: HugePages
    file: Path
    out: Path
    quiet: Quiet

    @property
    def row(self) -> Row:
        """The workload's cgroup."""
        return self.quiet.row(self.room.cgroup.path)

    @property
    def held_bytes(self) -> int:
        """What the workload holds of the pool."""
        return TOUCHED * self.pages.size


@pytest.fixture(scope="module")
def pages(disk: Path) -> Iterator[HugePages]:
    """Enough huge pages for two workloads at a time."""
    with huge_pages(2 * TOUCHED, disk / "hugetlbfs") as pages:
        yield pages


@pytest.fixture(scope="module")
def scene(memtrace: Memtrace, rooms: Rooms, pages: HugePages) -> Iterator[Scene]:
    """The workload done and holding, and all quiet."""
    room = rooms.open("hugetlb")
    file, out, before = pages.mount / "file", room.path("out"), pages.in_use()
    pid = room.hold("hugetlb", file, out, COUNT, pages.size).pid
    assert pages.in_use() - before == TOUCHED
    try:
        yield Scene(room, pid, pages, file, out, rooms.settle(memtrace))
    finally:
        room.cgroup.end()
        file.unlink(missing_ok=True)


def test_ledger_equals_memory_stat(scene: Scene) -> None:
    """What is attributed is what memory.stat says, to the page, whatever hugetlbfs holds."""
    row = assert_exact(scene.quiet, scene.room.cgroup)
    assert TOUCHED * PAGE <= row.attributed < scene.held_bytes


def test_ordinary_pages_between_them_are_counted(scene: Scene) -> None:
    """The page written after each huge page is there, with its process, every one of them."""
    (driver,) = [row for row in scene.row["drivers"] if same_file(row, scene.out)]
    assert (driver["kind"], driver["tgid"]) == ("write", scene.pid)
    assert driver["added_bytes"] == TOUCHED * PAGE


def test_no_figure_shows_a_huge_page(scene: Scene) -> None:
    """Neither as file, driver or shared memory, nor as anonymous memory or something else."""
    row = scene.row
    assert not [entry for entry in row["drivers"] if same_file(entry, scene.file)]
    assert not [entry for entry in row["files"] if same_file(entry, scene.file)]
    assert row.io("shmem") == row["shmem_bytes"] == 0
    for name in ("anon_bytes", "file_bytes", "unexplained_bytes"):
        assert row[name] < scene.held_bytes, name


def test_hugetlb_figure_is_the_kernels(scene: Scene) -> None:
    """hugetlb_bytes is memory.stat's line, and unknown where the kernel does not charge them."""
    assert scene.row["hugetlb_bytes"] == scene.room.cgroup.stat().get("hugetlb")


def test_baseline_leaves_them_out(rooms: Rooms, scene: Scene) -> None:
    """A memtrace that starts now finds the ordinary pages in the cache, and no huge one."""
    with Memtrace() as late:
        late.first()
        row = assert_exact(rooms.settle(late), scene.room.cgroup)
    assert row.cache("baseline") >= TOUCHED * PAGE
    assert not [entry for entry in row["files"] if same_file(entry, scene.file)]


def test_they_are_not_pages_without_a_cgroup(rooms: Rooms, pages: HugePages, scene: Scene) -> None:
    """`doctor --verify` proves its steps while huge pages come and go, and misses no owner."""
    room, file = rooms.open("beside-verify"), pages.mount / "beside-verify"
    verify = subprocess.Popen(
        [PROGRAM, "doctor", "--verify", "--json"], stdout=subprocess.PIPE, text=True
    )
    while verify.poll() is None:
        room.hold("hugetlb", file, room.path("out"), COUNT, pages.size)
        room.cgroup.end()
        file.unlink()
    assert verify.stdout is not None
    proof = json.loads(verify.stdout.read().splitlines()[-1])
    assert (verify.returncode, proof["ok"], proof["uncharged_pages"]) == (0, True, 0)


def test_nothing_is_removed_when_they_go(memtrace: Memtrace, rooms: Rooms, scene: Scene) -> None:
    """Unmapped, closed and unlinked: the ledger still equals memory.stat."""
    before = scene.pages.in_use()
    scene.room.cgroup.end()
    scene.file.unlink()
    assert before - scene.pages.in_use() == TOUCHED
    row = assert_exact(rooms.settle(memtrace), scene.room.cgroup)
    assert row.cache("removed") < scene.held_bytes
