"""A thousand short-lived cgroups: all their pages counted, and nothing of them left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.expect import assert_exact
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import Memtrace, Row, Snapshot
from tests.kernel.harness.quiet import Quiet
from tests.kernel.harness.room import Room, Rooms

WARM_UP = 100
CGROUPS = 1000
LEAVE_PAGES_EVERY = 20
PAGES = 7
SECONDS = 60
RSS_GROWTH = 8 << 20  # some of it for the programs that growing kernel memory has attached
DESCRIPTORS = 6  # held for each cgroup


@dataclass(frozen=True)
class Crowd:
    """What was measured before, during and after the thousand."""

    parent: Room
    seconds: float
    during: list[Snapshot]
    with_leftovers: Quiet
    leftovers: dict[str, Path]
    after: Snapshot
    rss: tuple[int, int]
    descriptors: tuple[int, int]
    elsewhere: int  # cgroups that others on the machine made meanwhile


def _visit(room: Room, number: int, keep: bool) -> tuple[str, Path]:
    """One short life: make a cgroup, write a few pages in it, remove file and cgroup."""
    path = room.path(f"file-{number}")
    with Cgroup(f"visitor-{number}", room.cgroup) as cgroup:
        cgroup.run(room.workloads["write"], path, str(PAGES), "4096")
    if not keep:
        path.unlink()
    return cgroup.path, path


def _elsewhere(snapshot: Snapshot, parent: Room) -> int:
    below = parent.cgroup.path + "/"
    return sum(not row["cgroup"].startswith(below) for row in snapshot["containers"])


@pytest.fixture(scope="module")
def crowd(rooms: Rooms) -> Iterator[Crowd]:
    """Run the thousand below one parent, beside a memtrace of their own."""
    parent = rooms.open("crowd")
    with Memtrace() as memtrace:
        memtrace.keep_all = True
        memtrace.first()
        for number in range(WARM_UP):
            _visit(parent, -number, keep=False)
        others = _elsewhere(memtrace.settle(), parent)
        before = memtrace.rss_bytes(), memtrace.descriptors()
        start, leftovers = time.monotonic(), {}
        for number in range(CGROUPS):
            cgroup, path = _visit(parent, number, keep=number % LEAVE_PAGES_EVERY == 0)
            if path.exists():
                leftovers[cgroup] = path
        seconds = time.monotonic() - start
        during = list(memtrace.all())
        memtrace.keep_all = False
        with_leftovers = rooms.settle(memtrace)
        for path in leftovers.values():
            os.unlink(path)
        memtrace.settle()
        after = memtrace.settle()
        yield Crowd(
            parent,
            seconds,
            during,
            with_leftovers,
            leftovers,
            after,
            (before[0], memtrace.rss_bytes()),
            (before[1], memtrace.descriptors()),
            max(0, _elsewhere(after, parent) - others),
        )


def test_a_thousand_fit_in_a_minute(crowd: Crowd) -> None:
    """The machine and memtrace keep up with a thousand cgroups in a minute."""
    assert crowd.seconds < SECONDS


def test_parent_counts_every_page_of_the_departed(crowd: Crowd) -> None:
    """The parent's totals hold every page that every short-lived child wrote."""
    row = assert_exact(crowd.with_leftovers, crowd.parent.cgroup)
    assert row.io("write") == (WARM_UP + CGROUPS) * PAGES * PAGE
    assert row.removed_by("unlink") >= (WARM_UP + CGROUPS - len(crowd.leftovers)) * PAGES * PAGE


def test_removed_cgroups_keep_their_names(crowd: Crowd) -> None:
    """Each removed cgroup whose pages live is shown under its own name, as removed."""
    for cgroup in crowd.leftovers:
        row = crowd.with_leftovers.row(cgroup)
        assert row["state"] == "removed"
        assert row["parent_id"] == crowd.parent.cgroup.cgroup_id
        assert row.io("write") == PAGES * PAGE


def test_every_row_shown_has_a_name(crowd: Crowd) -> None:
    """However short a cgroup lived: whenever it is shown, its path is known."""
    for snapshot in crowd.during:
        for data in snapshot["containers"]:
            assert data["cgroup"].startswith("/"), data["cgroup_id"]
            assert data["name"]


def test_nothing_is_left_of_them(crowd: Crowd) -> None:
    """Released cgroups leave the snapshot; who still has a row still pays for what others use.

    Metadata, or a page of a library that nobody had cached: the first toucher pays.
    """
    below = crowd.parent.cgroup.path + "/"
    rows = [Row(row) for row in crowd.after["containers"] if row["cgroup"].startswith(below)]
    files = [file for row in rows for file in row["files"] if file["resident_bytes"]]
    assert [file["path"] for file in files if "memtrace-test-" in (file["path"] or "")] == []
    assert len(rows) <= CGROUPS // 100


def test_memory_stays_flat(crowd: Crowd) -> None:
    """A thousand cgroups later memtrace is no larger than before, within 8 MB."""
    before, after = crowd.rss
    assert after - before < RSS_GROWTH


def test_descriptors_stay_flat(crowd: Crowd) -> None:
    """Every descriptor opened for a cgroup is closed when it goes."""
    before, after = crowd.descriptors
    assert after <= before + 2 + DESCRIPTORS * crowd.elsewhere


def test_nothing_was_lost(crowd: Crowd) -> None:
    """No event, name or map entry was lost on the way."""
    assert not any(crowd.after["lost"].values()), crowd.after["lost"]
