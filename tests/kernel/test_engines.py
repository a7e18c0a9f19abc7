"""Both engines, attached at once, say the same of the same workloads: totals, rows and events.

What the default engine says is compared with the kernel elsewhere.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import PROGRAM, QUIET_SECONDS, Memtrace
from tests.kernel.harness.oom import LIMIT, TOO_MUCH, OomWatch, ended, start
from tests.kernel.harness.room import Room, Rooms
from tests.kernel.harness.workloads import Workloads
from tests.same import differing, facts, said

PAGES, FEW = 1021, 211
TMPFS = "/dev/shm"
TRIES = 5
ENGINES = ("libbpf", "bcc")


@pytest.fixture(scope="module")
def both() -> Iterator[list[Memtrace]]:
    """One memtrace with each engine."""
    with (
        Memtrace("--no-baseline", "--engine", ENGINES[0]) as one,
        Memtrace("--no-baseline", "--engine", ENGINES[1]) as other,
    ):
        for running in (one, other):
            running.first()
        yield [one, other]


def work(room: Room) -> None:
    """Every kind of way into and out of the cache, by several processes."""
    room.run("write", room.path("written"), PAGES, PAGE)
    room.run("write", room.path("at once"), PAGES, 1 << 20)
    room.run("read", room.cold("read", PAGES), "read")
    room.run("fault", room.cold("mapped", FEW), "load")
    room.run("sendfile", room.cold("from", FEW), room.path("to"))
    room.run("write", room.path("gone"), FEW, PAGE)
    room.cgroup.run("rm", str(room.path("gone")))
    room.cgroup.run("truncate", "-s", "0", str(room.path("to")))


def agreed(both: list[Memtrace], room: Room) -> list[dict[str, Any]]:
    """What each says once all is quiet; again while pages move or memory.stat lags."""
    for _ in range(TRIES):
        moment = time.time() + QUIET_SECONDS
        found = [running.after(moment) for running in both]
        assert tuple(each["engine"] for each in found) == ENGINES
        rows = [said(each.row(room.cgroup.path).data) for each in found]
        removed = not room.cgroup.directory.exists()
        exact = removed or rows[0]["attributed_bytes"] == room.cgroup.file_bytes()
        if exact and rows[0] == rows[1]:
            break
    return rows


def test_both_engines_say_the_same(both: list[Memtrace], rooms: Rooms) -> None:
    """Totals, kinds, reasons, drivers, files and processes of a container, to the page."""
    room = rooms.open("both")
    work(room)
    mine, others = agreed(both, room)
    assert mine["added_bytes"] >= (3 * PAGES + 4 * FEW) * PAGE
    assert not differing(mine, others)


def test_both_say_the_same_of_shared_memory(both: list[Memtrace], rooms: Rooms) -> None:
    """Files on tmpfs, a SysV segment, a memfd and a shared mapping: to the page, held and gone."""
    room = rooms.open("shared-memory")
    with tempfile.TemporaryDirectory(prefix="memtrace-test-", dir=TMPFS) as name:
        kept, removed = Path(name) / "kept", Path(name) / "removed"
        room.run("write", kept, PAGES, PAGE)
        room.run("write", removed, FEW, 1 << 16)
        room.hold("segment", PAGES)
        room.hold("shared", FEW)
        held, others = agreed(both, room)
        assert not differing(held, others)
        assert shmem(held) == room.cgroup.shmem_bytes() == (3 * PAGES + 2 * FEW) * PAGE
        assert held["attributed_bytes"] == room.cgroup.file_bytes()
        removed.unlink()
        room.cgroup.end()
        left, others = agreed(both, room)
        assert not differing(left, others)
        assert shmem(left) == shmem(held)
        assert room.cgroup.shmem_bytes() == PAGES * PAGE  # of the file that is kept
        assert left["attributed_bytes"] == room.cgroup.file_bytes()


def shmem(row: dict[str, Any]) -> int:
    """Bytes of shared memory added."""
    return sum(entry["bytes"] for entry in row["io"] if entry["kind"] == "shmem")


def test_nothing_is_lost_with_either(both: list[Memtrace]) -> None:
    """No event skipped, no ring or map full."""
    for running in both:
        lost = running.next()["lost"]
        assert (lost["ring"], lost["map_full"], lost["names"]) == (0, 0, 0)


def test_both_see_a_short_life(both: list[Memtrace], rooms: Rooms) -> None:
    """A cgroup that came and went between two samples, with its name, files and processes."""
    room = rooms.open("short-lived")
    room.run("write", room.path("short"), FEW, PAGE)
    room.cgroup.remove()
    one, other = agreed(both, room)
    assert (one["state"], one["added_bytes"]) == ("removed", FEW * PAGE)
    assert one == other


def test_what_bcc_cannot_is_off_by_name(both: list[Memtrace]) -> None:
    """With the reason; what the engine's core needs is on."""
    features = both[1].next()["features"]
    off = [name for name, each in features.items() if "bcc engine" in each["reason"]]
    assert {"slab_census", "slab_culprits", "go_gc", "touchers", "dirtiers", "stacks"} <= {*off}
    assert not any(features[name]["enabled"] for name in off)
    on = ("page_cache", "shmem", "cgroup_events", "process_events")
    assert all(features[name]["enabled"] for name in on)


def test_both_tell_a_kill(workloads: Workloads, tmp_path: Path) -> None:
    """One kill at a limit, one by cgroup.kill where there is one: records with the same facts."""
    with (
        OomWatch(tmp_path / "one", "--engine", ENGINES[0]) as one,
        OomWatch(tmp_path / "other", "--engine", ENGINES[1]) as other,
        Cgroup("killed") as cgroup,
    ):
        cgroup.limit(LIMIT)
        pid = start(cgroup, workloads["hog"], str(TOO_MUCH), "3")
        assert ended(pid) == -signal.SIGKILL
        mine, others = (watch.of(cgroup, 1)[0] for watch in (one, other))
        assert (mine["kill"], mine["victim"]["pid"]) == ("memcg", pid)
        assert not differing(facts(mine), facts(others))


def test_without_its_package_it_is_one_sentence() -> None:
    """Exit code 3, and the package's name; nothing is mounted for anybody else."""
    hide = 'mount -t tmpfs none /usr/lib/python3/dist-packages/bcc && exec "$0" "$@"'
    command = ["unshare", "-m", "sh", "-c", hide, PROGRAM, "top", "--engine", "bcc", "--json", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "python3-bpfcc" in done.stderr
    assert len(done.stderr.splitlines()) == 1
