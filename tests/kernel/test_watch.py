"""What is watched on demand: who touches, who dirties, what refaults; and that it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memtrace.collect.opening import open_live
from tests.kernel.harness.cgroup import IS_V1, Cgroup
from tests.kernel.harness.expect import same_file
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import Memtrace, Row
from tests.kernel.harness.room import Room, Rooms
from tests.outcomes import unavailable

PAGES = 1009
PART = 499
LARGE = 5003
LIMIT = 1024 * PAGE
WAIT_SECONDS = 10.0
TOUCHERS = (
    *("on_mm_filemap_get_pages", "on_mm_filemap_map_pages", "on_mm_filemap_fault"),
    *("on_page_fault_user", "on_page_fault_kernel", "on_rss_stat"),
)


@pytest.fixture(scope="module")
def watching(rooms: Rooms) -> Iterator[Memtrace]:
    """A memtrace that watches everything there is."""
    with Memtrace("--watch", "touchers,dirtiers,refaults") as running:
        running.first()
        yield running


@pytest.fixture(scope="module")
def pair(rooms: Rooms) -> tuple[Room, Room]:
    """Who pays, and who uses what the other pays for."""
    return rooms.open("payer"), rooms.open("guest")


def need(memtrace: Memtrace, feature: str) -> None:
    """End the test where the kernel cannot do this."""
    told = memtrace.next()["features"][feature]
    if not told["enabled"]:
        unavailable(told["reason"])


def file_of(memtrace: Memtrace, cgroup: Cgroup, path: Path) -> dict[str, Any]:
    """One file's row in one cgroup, as of now."""
    files = memtrace.next().row(cgroup.path)["files"]
    found = [row for row in files if same_file(row, path)]
    assert found, f"no row of {path}"
    return found[0]


def used(row: dict[str, Any], how: str, pid: int) -> int | None:
    """Bytes that one process used; None: it is not told."""
    return next((user["bytes"] for user in row[how] if user["pid"] == pid), None)


def added_by(memtrace: Memtrace, room: Room, path: Path) -> int:
    """Bytes of a file that a cgroup paid for itself, because they had been reclaimed meanwhile."""
    row = Row(memtrace.next().row(room.cgroup.path).data)
    return sum(entry["added_bytes"] for entry in row["drivers"] if same_file(entry, path))


READERS: dict[str, Callable[[Room, Path], int]] = {
    "read": lambda room, path: room.run("read", path, "read"),
    "pread": lambda room, path: room.run("read", path, "pread", 0, PAGES),
    "large-blocks": lambda room, path: room.cgroup.run("dd", f"if={path}", "of=/dev/null", "bs=1M"),
    "mmap": lambda room, path: room.run("fault", path, "touch"),
    "populate": lambda room, path: room.run("fault", path, "populate"),
    "sendfile": lambda room, path: room.run("sendfile", path, room.path("copy")),
}


@pytest.fixture(scope="module")
def touched(watching: Memtrace, pair: tuple[Room, Room]) -> dict[str, tuple[Path, int]]:
    """For each way to read: the file, which its payer had cached, and the process that read it."""
    need(watching, "touchers")
    payer, guest = pair
    done = {}
    for how, reader in READERS.items():
        path = payer.cold(how, PAGES)
        payer.run("read", path, "pread", 0, PAGES)
        done[how] = path, reader(guest, path)
    return done


@pytest.mark.parametrize("how", READERS)
def test_readers_of_what_another_pays_for_are_touchers(
    watching: Memtrace,
    pair: tuple[Room, Room],
    touched: dict[str, tuple[Path, int]],
    how: str,
) -> None:
    """Each page once, by process and cgroup, and nothing is charged to the toucher."""
    payer, guest = pair
    path, pid = touched[how]
    row = file_of(watching, payer.cgroup, path)
    own = added_by(watching, guest, path)
    assert used(row, "touched_by", pid) == PAGES * PAGE - own
    (user,) = [user for user in row["touched_by"] if user["pid"] == pid]
    assert user["cgroup_id"] == guest.cgroup.cgroup_id
    assert row["charged_to"] == payer.cgroup.path


@pytest.mark.parametrize("block", [64 * PAGE, 1024 * PAGE])
def test_large_folios_count_as_they_are_mapped(
    watching: Memtrace, pair: tuple[Room, Room], block: int
) -> None:
    """What a large write left in large folios is mapped as a whole, without an event for each."""
    need(watching, "touchers")
    payer, guest = pair
    path = payer.path(f"blocks-{block}")
    payer.run("write", path, LARGE, block)
    pid = guest.run("fault", path, "touch")
    row = file_of(watching, payer.cgroup, path)
    assert used(row, "touched_by", pid) == LARGE * PAGE - added_by(watching, guest, path)


def test_the_payer_itself_is_no_toucher(watching: Memtrace, pair: tuple[Room, Room]) -> None:
    """Reading one's own cache again is everyday life."""
    need(watching, "touchers")
    payer, _ = pair
    path = payer.cold("own", PAGES)
    for _ in range(2):
        payer.run("read", path, "pread", 0, PAGES)
    assert file_of(watching, payer.cgroup, path)["touched_by"] == []


def test_a_sidecar_that_writes_is_the_dirtier(watching: Memtrace, pair: tuple[Room, Room]) -> None:
    """Who dirties pages that another pays for: exactly those pages."""
    need(watching, "dirtiers")
    payer, guest = pair
    path = payer.cold("written", PAGES)
    payer.run("read", path, "pread", 0, PAGES)
    pid = guest.cgroup.run(
        "dd", "if=/dev/zero", f"of={path}", f"bs={PAGE}", f"count={PART}", "conv=notrunc"
    )
    row = file_of(watching, payer.cgroup, path)
    own = added_by(watching, guest, path)
    assert used(row, "dirtied_by", pid) == PART * PAGE - own


def test_refaults_of_a_file_are_the_kernels(watching: Memtrace, rooms: Rooms) -> None:
    """A file read again and again through a limit too small for it, within 1 %."""
    need(watching, "refaults")
    room = rooms.open("thrash")
    room.cgroup.limit(LIMIT)
    path = room.cold("large", LARGE)
    for _ in range(3):
        room.run("read", path, "pread", 0, LARGE)
    deadline = time.monotonic() + WAIT_SECONDS
    told = kernel = 0
    while time.monotonic() < deadline:
        told = file_of(watching, room.cgroup, path)["refaulted_bytes"]
        kernel = refaulted(room.cgroup)
        if kernel and abs(told - kernel) <= kernel / 100:
            break
    assert kernel >= LARGE * PAGE
    assert told == pytest.approx(kernel, rel=0.01)


def test_a_cgroup_that_thrashes_is_followed_unasked(memtrace: Memtrace, rooms: Rooms) -> None:
    """Its files have their refaults as soon as its count kept moving; others stay unknown."""
    if not memtrace.first()["features"]["refaults"]["enabled"]:
        reason = memtrace.first()["features"]["refaults"]["reason"]
        if not reason.startswith("off until"):
            unavailable(reason)
    room, quiet = rooms.open("unasked"), rooms.open("quiet")
    room.cgroup.limit(LIMIT)
    path = room.cold("large", LARGE)
    calm = quiet.cold("calm", PART)
    quiet.run("read", calm, "pread", 0, PART)
    deadline = time.monotonic() + 3 * WAIT_SECONDS
    told = None
    while not told and time.monotonic() < deadline:
        room.run("read", path, "pread", 0, LARGE)
        told = file_of(memtrace, room.cgroup, path)["refaulted_bytes"]
    assert told
    assert file_of(memtrace, quiet.cgroup, calm)["refaulted_bytes"] is None


def refaulted(cgroup: Cgroup) -> int:
    """What the kernel counts, in bytes."""
    return cgroup.stat()[f"{'total_' if IS_V1 else ''}workingset_refault_file"] * PAGE


def links() -> int:
    """Programs that this process has attached."""
    found = 0
    for entry in Path("/proc/self/fdinfo").iterdir():
        try:
            found += "link_type:" in entry.read_text()
        except OSError:  # closed meanwhile
            continue
    return found


def test_programs_are_attached_only_while_somebody_watches() -> None:
    """None before, three for touchers, none after, and rows say null, not 0, when not watched."""
    with open_live(baseline=False) as live:
        before = links()
        assert set(live.attached_on_demand) & set(TOUCHERS) == set()
        live.watch(frozenset({"touchers"}), None)
        if not live.sample().features["touchers"].enabled:
            unavailable(live.sample().features["touchers"].reason)
        assert set(live.attached_on_demand) >= set(TOUCHERS)
        assert links() >= before + len(TOUCHERS)
        live.watch(frozenset(), None)
        assert set(live.attached_on_demand) & set(TOUCHERS) == set()
        feature = live.sample().features["touchers"]
        assert (feature.enabled, feature.on_demand) == (False, True)
        assert feature.reason == "off until asked for: --watch touchers"


def test_unwatched_is_unknown(memtrace: Memtrace, pair: tuple[Room, Room]) -> None:
    """Without --watch who touches and who dirties is null."""
    path = pair[0].path("own")
    row = file_of(memtrace, pair[0].cgroup, path)
    assert (row["touched_by"], row["dirtied_by"]) == (None, None)
