"""The second referee counts what the ledger counts, to the page and at once."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtrace.kernel.referee import TRACEPOINT, Referee, why_absent
from tests.kernel.harness.bpf import held_by
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import PROGRAM, Memtrace
from tests.kernel.harness.room import Room, Rooms
from tests.outcomes import unavailable
from tests.unit.kernel.doctored import VMLINUX, renamed

CYCLE_PAGES, LIMIT_PAGES, SHARED = 1009, 640, 307
SETTLE_SECONDS = 10.0
INSTEAD = f'mount --bind "$0" {VMLINUX} && exec "$@"'


@pytest.fixture
def watched(rooms: Rooms, request: pytest.FixtureRequest) -> Iterator[tuple[Room, Referee]]:
    """A cgroup with a limit that reclaims, counted from its beginning."""
    if reason := why_absent():
        unavailable(reason)
    room = rooms.open(request.node.name)
    room.cgroup.limit(LIMIT_PAGES * PAGE)
    with Referee(room.cgroup.cgroup_id) as referee:
        yield room, referee


def test_the_referee_counts_what_the_ledger_counts(
    memtrace: Memtrace, watched: tuple[Room, Referee]
) -> None:
    """Written, read, mapped, cut, removed and reclaimed, beside shared memory: the same pages."""
    room, referee = watched
    room.hold("shared", SHARED)
    running = room.start("cycle", room.path("file"), CYCLE_PAGES, "keep")
    time.sleep(2)
    running.terminate()
    assert running.wait(timeout=30) == 0
    end = time.monotonic() + SETTLE_SECONDS
    while True:  # shared memory waits in batches; the machine may reclaim in between
        row, net = memtrace.next().row(room.cgroup.path), referee.net()
        agreed = (net.file * PAGE, net.shmem * PAGE) == (row.attributed, SHARED * PAGE)
        if agreed or time.monotonic() > end:
            break
    assert row.removed_by("reclaim") > 0
    assert net.file * PAGE == row.attributed
    assert net.shmem == SHARED


def test_nothing_is_attached_afterwards(watched: tuple[Room, Referee]) -> None:
    """Closing takes the program out of the kernel; closing twice is harmless."""
    _, referee = watched
    before = held_by(_me())
    referee.close()
    referee.close()
    assert held_by(_me()) < before


@pytest.mark.timeout(180)
def test_without_the_tracepoint_verify_says_so(tmp_path: Path) -> None:
    """Neither pass nor fail: the proof stands on memory.stat, and the missing referee is named."""
    types = tmp_path / "vmlinux"
    name = f"btf_trace_{TRACEPOINT}"
    if why_absent():
        types.write_bytes(VMLINUX.read_bytes())
    else:
        types.write_bytes(renamed(VMLINUX.read_bytes(), name, "b" * len(name)))
    command = ["unshare", "-m", "sh", "-c", INSTEAD, str(types)]
    done = subprocess.run(
        [*command, PROGRAM, "doctor", "--verify", "--json"], capture_output=True, timeout=170
    )
    proof = json.loads(done.stdout.splitlines()[-1])
    assert proof["second_referee"]["enabled"] is False
    assert TRACEPOINT in proof["second_referee"]["reason"]
    assert {step["referee_pages"] for step in proof["steps"]} == {None}
    judged = [step["kernel_pages"] == step["ledger_pages"] for step in proof["steps"]]
    assert all(judged), proof


def _me() -> int:
    return int(Path("/proc/self").readlink().name)
