"""Every way out of the page cache is counted to the page and gets its reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.kernel.harness.expect import assert_exact, same_file
from tests.kernel.harness.files import PAGE, cached_pages, cool
from tests.kernel.harness.memtrace import Memtrace
from tests.kernel.harness.quiet import Quiet
from tests.kernel.harness.room import Room, Rooms

PAGES = 4099
KEPT = 1013
LIMIT_PAGES = 4096
OVER_LIMIT = 4 * LIMIT_PAGES + 3


_held_open: list[BinaryIO] = []


@dataclass(frozen=True)
class Removed:
    """What left: so many pages (None: the kernel's choice) for this reason; of which file."""

    reason: str
    pages: int | None
    path: Path | None = None


def _written(room: Room) -> Path:
    room.run("write", room.path("out"), PAGES, 1 << 20)
    return room.path("out")


def unlink(room: Room) -> Removed:
    """Remove a file whole, from outside the cgroup."""
    os.unlink(_written(room))
    return Removed("unlink", PAGES)


def unlink_inside(room: Room) -> Removed:
    """Remove a file whole, by a process of the cgroup."""
    room.cgroup.run("rm", _written(room))
    return Removed("unlink", PAGES)


def rename_over(room: Room) -> Removed:
    """Replace a file by renaming another over it."""
    path = _written(room)
    room.path("new").touch()
    os.rename(room.path("new"), path)
    return Removed("unlink", PAGES)


def unlink_while_open(room: Room) -> Removed:
    """An unlinked file that is still open keeps its pages."""
    path = _written(room)
    _held_open.append(path.open("rb"))
    path.unlink()
    return Removed("unlink", 0)


def one_of_two_links(room: Room) -> Removed:
    """Removing one of two names removes no page."""
    path = _written(room)
    os.link(path, room.path("second"))
    path.unlink()
    return Removed("unlink", 0, room.path("second"))


def truncate(room: Room) -> Removed:
    """Cut a file to nothing."""
    path = _written(room)
    os.truncate(path, 0)
    return Removed("truncate", PAGES, path)


def truncate_partly(room: Room) -> Removed:
    """Cut a file in the middle of a page, and of a large folio."""
    path = _written(room)
    os.truncate(path, KEPT * PAGE - 1000)
    return Removed("truncate", PAGES - cached_pages(path), path)


def overwrite(room: Room) -> Removed:
    """Open with O_TRUNC."""
    path = _written(room)
    path.write_bytes(b"")
    return Removed("truncate", PAGES, path)


def punch_whole_pages(room: Room) -> Removed:
    """Punch a hole of whole pages: they leave the file and the cache."""
    path = _written(room)
    room.cgroup.run("fallocate", "-p", "-o", str(7 * PAGE), "-l", str(KEPT * PAGE), str(path))
    return Removed("truncate", PAGES - cached_pages(path), path)


def dont_need(room: Room) -> Removed:
    """Give the pages back with fadvise DONTNEED."""
    path = _written(room)
    cool(path)
    return Removed("drop", PAGES, path)


def reclaim_reads(room: Room) -> Removed:
    """Read four times more than the limit allows."""
    path = room.cold("in", OVER_LIMIT)
    room.cgroup.limit(LIMIT_PAGES * PAGE)
    room.run("read", path, "read")
    return Removed("reclaim", None, path)


def reclaim_writes(room: Room) -> Removed:
    """Write four times more than the limit allows."""
    room.cgroup.limit(LIMIT_PAGES * PAGE)
    room.run("write", room.path("out"), OVER_LIMIT, 1 << 20)
    return Removed("reclaim", None, room.path("out"))


ACTS: dict[str, Callable[[Room], Removed]] = {
    "unlink": unlink,
    "unlink-inside": unlink_inside,
    "rename-over": rename_over,
    "unlink-while-open": unlink_while_open,
    "one-of-two-links": one_of_two_links,
    "truncate": truncate,
    "truncate-partly": truncate_partly,
    "overwrite": overwrite,
    "punch-whole-pages": punch_whole_pages,
    "dont-need": dont_need,
    "reclaim-reads": reclaim_reads,
    "reclaim-writes": reclaim_writes,
}

Scene = tuple[Quiet, dict[str, tuple[Room, Removed]]]


@pytest.fixture(scope="module")
def scene(memtrace: Memtrace, rooms: Rooms) -> Iterator[Scene]:
    """Every act done in a cgroup of its own, and what memtrace says when all is quiet."""
    outcomes = rooms.act_all(ACTS)
    yield rooms.settle(memtrace), outcomes
    while _held_open:
        _held_open.pop().close()


@pytest.mark.parametrize("act", ACTS)
def test_ledger_equals_memory_stat(scene: Scene, act: str) -> None:
    """After pages left, what is attributed is still what memory.stat says, to the page."""
    snapshot, outcomes = scene
    assert_exact(snapshot, outcomes[act][0].cgroup)


@pytest.mark.parametrize("act", ACTS)
def test_removed_pages_have_their_reason(scene: Scene, act: str) -> None:
    """The file's pages left for the reason that was the case."""
    snapshot, outcomes = scene
    room, removed = outcomes[act]
    row = snapshot.row(room.cgroup.path)
    if removed.pages is None:
        assert row.removed_by(removed.reason) >= (OVER_LIMIT - LIMIT_PAGES) * PAGE
        assert row.removed_by(removed.reason) == row.cache("removed")
    else:
        assert row.removed_by(removed.reason) == removed.pages * PAGE


@pytest.mark.parametrize("act", ACTS)
def test_file_rows_show_what_is_left(scene: Scene, act: str) -> None:
    """A file that is still there shows what cachestat says is left of it."""
    snapshot, outcomes = scene
    room, removed = outcomes[act]
    if not removed.path or not snapshot.cached(removed.path):
        return
    rows = [row for row in snapshot.row(room.cgroup.path)["files"] if same_file(row, removed.path)]
    assert [row["resident_bytes"] for row in rows] == [snapshot.cached(removed.path) * PAGE]


def test_unlinked_file_keeps_its_pages(scene: Scene) -> None:
    """A file that lost its last name while open is shown with all its pages."""
    snapshot, outcomes = scene
    row = snapshot.row(outcomes["unlink-while-open"][0].cgroup.path)
    assert row.cache("added") >= PAGES * PAGE
    (entry,) = [entry for entry in row["files"] if entry["added_bytes"] == PAGES * PAGE]
    assert entry["resident_bytes"] == PAGES * PAGE - entry["removed_bytes"]


@pytest.mark.parametrize("act", ["reclaim-reads", "reclaim-writes"])
def test_reclaim_at_a_limit_balances(scene: Scene, act: str) -> None:
    """At a limit, added minus removed is what is resident, and never above the limit."""
    snapshot, outcomes = scene
    row = snapshot.row(outcomes[act][0].cgroup.path)
    resident = row.cache("added") - row.cache("removed")
    assert resident == row["file_bytes"] <= LIMIT_PAGES * PAGE
    assert row["limit_bytes"] == LIMIT_PAGES * PAGE
    assert row["limit_cgroup"] == row["cgroup"]


def test_drop_caches_is_a_reason_of_its_own(memtrace: Memtrace, rooms: Rooms) -> None:
    """Pages dropped by the administrator are not mistaken for pressure.

    Some machines reclaim a few pages at any time, those of this file before the drop, too.
    """
    room = rooms.open("drop-caches")
    path = room.cold("in", PAGES)
    room.run("read", path, "read")
    Path("/proc/sys/vm/drop_caches").write_text("1")
    row = assert_exact(rooms.settle(memtrace), room.cgroup)
    assert cached_pages(path) == 0
    reclaimed = row.removed_by("reclaim")
    assert row.removed_by("drop") + reclaimed >= PAGES * PAGE
    assert reclaimed < PAGES * PAGE / 10
