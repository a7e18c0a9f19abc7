"""Cumulative figures only ever grow, however fast they are read and written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.kernel.harness.expect import assert_exact, same_file
from tests.kernel.harness.memtrace import Memtrace, Row, Snapshot
from tests.kernel.harness.quiet import Quiet
from tests.kernel.harness.room import Room, Rooms

WRITERS = 4
PAGES = 1009
INTERVAL = 0.2
SECONDS = 10


class Recording(NamedTuple):
    """What was said while writers wrote, and afterwards; seconds waited for a CPU, a snapshot."""

    snapshots: list[Snapshot]
    writers: list[Room]
    final: Quiet
    waited: float


@pytest.fixture(scope="module")
def recording(rooms: Rooms) -> Iterator[Recording]:
    """Five snapshots a second while four writers write, cut, map, drop and remove."""
    writers = [rooms.open(f"writer-{number}") for number in range(WRITERS)]
    with Memtrace(interval=INTERVAL) as memtrace:
        memtrace.keep_all = True
        memtrace.first()
        half = WRITERS // 2
        running = [room.start("cycle", room.path("file"), PAGES) for room in writers[:half]]
        running += [
            room.start("cycle", room.path("file"), PAGES, "keep") for room in writers[half:]
        ]
        time.sleep(SECONDS)
        for process in running:
            process.terminate()
            assert process.wait(timeout=30) == 0
        final = rooms.settle(memtrace)
        snapshots = list(memtrace.all())
        yield Recording(snapshots, writers, final, _waited(memtrace.pid) / len(snapshots))


def _waited(pid: int) -> float:
    """Seconds that a process' threads were ready to run while others ran (proc(5), schedstat)."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[1]) for each in threads) / 1e9


def test_no_counter_goes_backwards(recording: Recording) -> None:
    """Added, removed, every kind and every reason only grow, in every cgroup."""
    snapshots = recording.snapshots
    last: dict[tuple[Any, ...], int] = {}
    for snapshot in snapshots:
        for counter, value in _counters(snapshot):
            assert value >= last.get(counter, 0), (counter, last[counter], value)
            last[counter] = value
    assert len(last) > WRITERS * 4


def test_no_driver_goes_backwards(recording: Recording) -> None:
    """What a process did to a file that stays the same file only grows."""
    snapshots, writers, _, _ = recording
    for room in writers[WRITERS // 2 :]:
        last: dict[str, int] = {}
        for row in (row for snapshot in snapshots for row in snapshot.rows(room.cgroup.path)):
            for driver in row["drivers"]:
                if same_file(driver, room.path("file")):
                    kind, value = driver["kind"], driver["added_bytes"]
                    assert value >= last.get(kind, 0), (kind, last[kind], value)
                    last[kind] = value
        assert {"write", "read"} <= set(last)


def test_parts_add_up_in_every_snapshot(recording: Recording) -> None:
    """Kinds add up to added and reasons to removed, while everything moves."""
    snapshots = recording.snapshots
    for row in _rows(snapshots):
        assert sum(entry["bytes"] for entry in row["io"]) == row.cache("added")
        assert sum(entry["bytes"] for entry in row["removed_by"]) == row.cache("removed")
        shown = sum(entry["added_bytes"] for entry in row["drivers"])
        assert shown + row["drivers_other_bytes"] == row.cache("added")
        assert row["drivers_other_bytes"] >= 0


def test_deltas_are_the_differences(recording: Recording) -> None:
    """A delta is this snapshot's figure minus the one before; the first line has none."""
    snapshots, writers, _, _ = recording
    first, *rest = snapshots
    assert first["interval_seconds"] is None
    for room in writers:
        values = [snapshot.rows(room.cgroup.path) for snapshot in rest]
        rows = [found[-1] for found in values if found]
        for before, after in pairwise(rows):
            difference = after.cache("added") - before.cache("added")
            assert after.cache("added_delta") == difference


def test_snapshots_come_on_time(recording: Recording) -> None:
    """The interval is kept under load: the median within a quarter of what was asked.

    But for the time in which the machine let others run instead.
    """
    gaps = sorted(snapshot["interval_seconds"] for snapshot in recording.snapshots[1:])
    assert 0.75 * INTERVAL <= gaps[len(gaps) // 2] <= 1.25 * INTERVAL + recording.waited


def test_exact_when_quiet_again(recording: Recording) -> None:
    """After tens of thousands of events a second nothing is lost and all is exact."""
    _, writers, final, _ = recording
    for room in writers:
        assert_exact(final, room.cgroup)
    assert not any(final["lost"].values()), final["lost"]


def _rows(snapshots: list[Snapshot]) -> Iterator[Row]:
    for snapshot in snapshots:
        yield from (Row(data) for data in snapshot["containers"])


def _counters(snapshot: Snapshot) -> Iterator[tuple[tuple[Any, ...], int]]:
    for data in snapshot["containers"]:
        row, owner = Row(data), data["cgroup_id"]
        for name in ("added", "removed"):
            yield (owner, name), row.cache(name)
        for entry in data["io"]:
            yield (owner, "io", entry["kind"]), entry["bytes"]
        for entry in data["removed_by"]:
            yield (owner, "removed_by", entry["reason"]), entry["bytes"]
