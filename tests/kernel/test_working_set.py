"""What reclaim could take: the figure is what the kernel then really takes."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from tests.kernel.harness.cgroup import IS_V1, Cgroup
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import Memtrace, Row
from tests.kernel.harness.room import Room, Rooms

CLEAN, TWICE, LOCKED, SHARED = 2003, 1009, 503, 307
STRAY = 64 * PAGE  # pages of programs and libraries, which come back while they are being run
BATCHES = 31 * (os.cpu_count() or 1) * PAGE  # folio batches: on no list yet, out of reclaim's sight
TRIES = 3


def _filled(rooms: Rooms, label: str) -> Room:
    """A cgroup with clean cache read once and twice, locked cache and shared memory."""
    room = rooms.open(label)
    once, twice, locked = (
        room.cold(name, pages)
        for name, pages in (("once", CLEAN), ("twice", TWICE), ("locked", LOCKED))
    )
    room.run("read", once, "read")
    for _ in range(2):
        room.run("read", twice, "read")
    room.hold("locked", locked)
    room.hold("shared", SHARED)
    return room


def _take_all(cgroup: Cgroup) -> None:
    """Have the kernel reclaim what it can; v2 says EAGAIN when that was less than asked for."""
    if IS_V1:
        (cgroup.directory / "memory.force_empty").write_text("0")
        return
    with contextlib.suppress(BlockingIOError):
        (cgroup.directory / "memory.reclaim").write_text(str(1 << 30))


def _agrees(row: Row, freed: int) -> bool:
    figures = row["working_set"]
    return abs(freed - figures["reclaimable_file_bytes"]) <= STRAY


def test_reclaim_takes_what_the_figure_says(memtrace: Memtrace, rooms: Rooms) -> None:
    """Clean cache goes; what is locked or shared memory was not in the figure, and stays."""
    for attempt in range(TRIES):
        room = _filled(rooms, f"reclaimed-{attempt}")
        row = memtrace.settle().row(room.cgroup.path)
        before = room.cgroup.file_bytes()
        _take_all(room.cgroup)
        time.sleep(3)  # memory.stat lags
        left = room.cgroup.file_bytes()
        if _agrees(row, before - left):
            break
    figures = row["working_set"]
    assert _agrees(row, before - left), (figures, before, left)
    assert figures["reclaimable_file_bytes"] >= (CLEAN + TWICE) * PAGE - BATCHES
    assert left >= (LOCKED + SHARED) * PAGE


def test_the_figures_are_the_kernels(memtrace: Memtrace, rooms: Rooms) -> None:
    """Each equals memory.stat; slab is unknown on v1, and so is the sum with it."""
    room = _filled(rooms, "figures")
    figures = memtrace.settle().row(room.cgroup.path)["working_set"]
    stat, total = room.cgroup.stat(), "total_" if IS_V1 else ""
    active, inactive = stat[f"{total}active_file"], stat[f"{total}inactive_file"]
    usage = "memory.usage_in_bytes" if IS_V1 else "memory.current"
    assert figures["usage_bytes"] == _number(room.cgroup.directory / usage)
    assert figures["working_set_bytes"] == figures["usage_bytes"] - inactive
    assert figures["active_file_bytes"] == active
    assert figures["rss_bytes"] == stat["total_rss" if IS_V1 else "anon"]
    assert figures["reclaimable_file_bytes"] == active + inactive
    slab = None if IS_V1 else stat["slab_reclaimable"]
    assert figures["reclaimable_slab_bytes"] == slab
    assert figures["reclaimable_bytes"] == (None if slab is None else active + inactive + slab)


def _number(path: Path) -> int:
    return int(path.read_text())
