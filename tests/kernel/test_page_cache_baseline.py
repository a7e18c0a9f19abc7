"""What was cached before memtrace came: known to the page, even if it came in mid-write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.expect import assert_exact, same_file
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import Memtrace, Row
from tests.kernel.harness.oom import counted
from tests.kernel.harness.quiet import Quiet
from tests.kernel.harness.room import Room, Rooms

PAGES = 4099
GONE = 1511
MORE = 1013
SHARED = 709
WRITERS = 4
CYCLE_PAGES = 1009
RESTARTS = 3
LIMIT_PAGES = 640  # below what a cycle caches, far above what it leaves to be written
RECLAIM_SECONDS = 60.0
FIRE_INTERVAL = 2.0  # the default


@dataclass(frozen=True)
class Older:
    """Cgroups that had pages before memtrace started, and a memtrace that started after."""

    memtrace: Memtrace
    parent: Room
    child: Room
    files: Room
    shared: Room
    before: dict[str, int]
    start: Quiet


@pytest.fixture(scope="module")
def older(rooms: Rooms) -> Iterator[Older]:
    """Cache pages, then start memtrace: everything is baseline and nothing is added."""
    parent, files, shared = (rooms.open(label) for label in ("parent", "files", "shared"))
    parent.run("write", parent.path("out"), GONE, PAGE)
    child = rooms.open("child", parent.cgroup)
    child.run("write", child.path("out"), PAGES, 1 << 20)
    files.run("write", files.path("stays"), PAGES, 1 << 20)
    files.run("write", files.path("goes"), GONE, 1 << 20)
    shared.hold("shared", SHARED)
    time.sleep(3)
    groups = (parent, child, files, shared)
    before = {room.cgroup.path: room.cgroup.file_bytes() for room in groups}
    with Memtrace() as memtrace:
        memtrace.first()
        yield Older(memtrace, parent, child, files, shared, before, rooms.settle(memtrace))


@pytest.mark.parametrize("name", ["parent", "child", "files", "shared"])
def test_older_cgroup_starts_from_its_baseline(older: Older, name: str) -> None:
    """The baseline is what memory.stat said before, and nothing counts as added."""
    cgroup = getattr(older, name).cgroup
    row = assert_exact(older.start, cgroup)
    assert row.cache("baseline") == older.before[cgroup.path]
    assert (row.cache("added"), row.cache("removed")) == (0, 0)


def test_baseline_knows_the_files(older: Older) -> None:
    """Files cached before the start have their row: path, resident and baseline bytes."""
    row = older.start.row(older.files.cgroup.path)
    (entry,) = row.files(path=str(older.files.path("stays")))
    assert entry["baseline_bytes"] == entry["resident_bytes"] == PAGES * PAGE
    assert entry["added_bytes"] == 0


def test_later_changes_add_to_the_baseline(older: Older, rooms: Rooms) -> None:
    """Writes and unlinks after the start move added and removed; the baseline stays."""
    older.files.path("goes").unlink()
    older.files.run("write", older.files.path("more"), MORE, PAGE)
    older.shared.cgroup.end()
    snapshot = rooms.settle(older.memtrace)
    row = assert_exact(snapshot, older.files.cgroup)
    assert row.cache("baseline") == older.before[older.files.cgroup.path]
    assert row.removed_by("unlink") == GONE * PAGE
    assert row.io("write") == MORE * PAGE
    gone = assert_exact(snapshot, older.shared.cgroup)
    assert gone["shmem_bytes"] == 0
    assert_exact(snapshot, older.parent.cgroup)


def test_younger_cgroup_has_none(older: Older, rooms: Rooms) -> None:
    """A cgroup created after the start has a baseline of zero."""
    room = rooms.open("younger")
    room.run("write", room.path("out"), MORE, PAGE)
    row = assert_exact(rooms.settle(older.memtrace), room.cgroup)
    assert row.cache("baseline") == 0
    assert row.io("write") == MORE * PAGE


def test_without_a_baseline_the_unknown_is_null(older: Older, rooms: Rooms) -> None:
    """With --no-baseline an older cgroup shows what changed and claims nothing else."""
    with Memtrace("--no-baseline") as memtrace:
        memtrace.first()
        older.files.run("write", older.files.path("again"), MORE, PAGE)
        younger = rooms.open("younger-still")
        younger.run("write", younger.path("out"), MORE, PAGE)
        snapshot = rooms.settle(memtrace)
        row = snapshot.row(older.files.cgroup.path)
        unknown = [row.cache(name) for name in ("baseline", "attributed", "unattributed")]
        assert unknown == [None, None, None]
        assert row.io("write") == MORE * PAGE
        assert assert_exact(snapshot, younger.cgroup).cache("baseline") == 0


def test_baseline_and_restarts_while_writers_run(rooms: Rooms) -> None:
    """Started and restarted while four writers write, cut and remove: exact when they stop."""
    with_writers = [rooms.open(f"writer-{number}") for number in range(WRITERS)]
    with ExitStack() as memtraces:
        with _writing(with_writers):
            for _ in range(RESTARTS):
                with Memtrace(interval=0.5) as memtrace:
                    memtrace.first()
                    assert memtrace.stop() == 0
            memtrace = memtraces.enter_context(Memtrace())
            memtrace.first()
            time.sleep(1)
        snapshot = rooms.settle(memtrace)
        for room in with_writers:
            row = assert_exact(snapshot, room.cgroup)
            _assert_file_agrees(row, room.path("file"), snapshot)


def test_baseline_under_fire(rooms: Rooms) -> None:
    """Taken while four writers write against limits that reclaim: exact once looked at in quiet."""
    with_writers = [rooms.open(f"fire-{number}") for number in range(WRITERS)]
    for room in with_writers:
        room.cgroup.limit(LIMIT_PAGES * PAGE)
    with ExitStack() as memtraces:
        with _writing(with_writers, "sync"):
            time.sleep(1)
            memtrace = memtraces.enter_context(Memtrace(interval=FIRE_INTERVAL))
            memtrace.first()
            _until_reclaimed(memtrace, with_writers)
        snapshot = rooms.settle(memtrace)
    for room in with_writers:
        row = assert_exact(snapshot, room.cgroup)
        assert row.cache("baseline") is not None
        assert row.removed_by("reclaim") > 0
        assert counted(room.cgroup) == 0, "the workload does not fit under its limit"


def _until_reclaimed(memtrace: Memtrace, rooms: list[Room]) -> None:
    """Wait until each was reclaimed from; with a slow disk that takes a while."""
    deadline = time.monotonic() + RECLAIM_SECONDS
    while time.monotonic() < deadline:
        snapshot = memtrace.next()
        rows = [snapshot.row(room.cgroup.path) for room in rooms]
        if all(row.removed_by("reclaim") > 0 for row in rows):
            break


def _assert_file_agrees(row: Row, path: Path, quiet: Quiet) -> None:
    if path.exists() and quiet.cached(path):
        rows = [entry for entry in row["files"] if same_file(entry, path)]
        living = [entry["resident_bytes"] for entry in rows if not entry["deleted"]]
        assert living == [quiet.cached(path) * PAGE]


@contextmanager
def _writing(rooms: list[Room], *how: str) -> Iterator[None]:
    """Write in every room; at the end each writer ends by itself, and in good order."""
    running = [room.start("cycle", room.path("file"), CYCLE_PAGES, *how) for room in rooms]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
        ended = [process.wait(timeout=30) for process in running]
    assert ended == [0] * len(running), ended


def test_cgroup_removed_before_the_start(rooms: Rooms) -> None:
    """Pages of a cgroup removed before memtrace came still count in its parent."""
    parent = rooms.open("survivor")
    with Cgroup("dead", parent.cgroup) as dead:
        dead.run(parent.workloads["write"], parent.path("left"), str(PAGES), "4096")
    with Memtrace() as memtrace:
        snapshot = rooms.settle(memtrace)
        row = assert_exact(snapshot, parent.cgroup)
        assert row.attributed >= snapshot.cached(parent.path("left")) * PAGE > 0
        parent.path("left").unlink()
        assert_exact(rooms.settle(memtrace), parent.cgroup)
