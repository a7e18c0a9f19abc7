"""Every way into the page cache is charged to the page: right file, process and kind of I/O."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.harness.cgroup import CommandError
from tests.kernel.harness.expect import Added, assert_exact, same_file
from tests.kernel.harness.files import PAGE, cached_pages, cool
from tests.kernel.harness.memtrace import Memtrace, Row
from tests.kernel.harness.quiet import Quiet
from tests.kernel.harness.room import Room, Rooms
from tests.kernel.harness.workloads import BIG_PAGES

PAGES = 4099
HALF = 2053
HOLES = 101
SKIPPED = 77

Expected = list[Added]


def write_4k(room: Room) -> Expected:
    """write(2), one page a call."""
    pid = room.run("write", room.path("out"), PAGES, PAGE)
    return [Added(room.path("out"), "write", PAGES, pid, "write", "write")]


def write_1m(room: Room) -> Expected:
    """write(2), 1 MiB a call: large folios where the file system has them."""
    pid = room.run("write", room.path("out"), PAGES, 1 << 20)
    return [Added(room.path("out"), "write", PAGES, pid, "write", "write")]


def write_odd(room: Room) -> Expected:
    """write(2) with a block that never ends on a page boundary."""
    pid = room.run("write", room.path("out"), PAGES, 5003)
    return [Added(room.path("out"), "write", PAGES, pid, "write", "write")]


def write_direct(room: Room) -> Expected:
    """O_DIRECT goes around the cache."""
    room.cgroup.run(
        "dd", "if=/dev/zero", f"of={room.path('out')}", "bs=1M", "count=7", "oflag=direct"
    )
    return []


def write_compat(room: Room) -> Expected:
    """The 32-bit system call table."""
    try:
        pid = room.run("compat", room.path("out"), HALF)
    except CommandError as error:
        if f"exited with {SKIPPED}" in str(error):
            return []
        raise
    return [Added(room.path("out"), "write", HALF, pid, "compat")]


def _read(call: str, syscall: str) -> Callable[[Room], Expected]:
    def act(room: Room) -> Expected:
        path = room.cold("in", PAGES)
        pid = room.run("read", path, call)
        return [Added(path, "read", PAGES, pid, "read", syscall)]

    return act


def _fault(how: str, syscall: str) -> Callable[[Room], Expected]:
    def act(room: Room) -> Expected:
        path = room.cold("in", PAGES)
        pid = room.run("fault", path, how)
        return [Added(path, "mmap", PAGES, pid, "fault", syscall)]

    return act


def mmap_store(room: Room) -> Expected:
    """Stores into a shared mapping of a sparse file."""
    pid = room.run("fault", room.path("sparse"), PAGES)
    return [Added(room.path("sparse"), "mmap", PAGES, pid, "fault", "page fault")]


def _copy(workload: str, kind: str, syscall: str) -> Callable[[Room], Expected]:
    def act(room: Room) -> Expected:
        source = room.cold("from", HALF)
        pid = room.run(workload, source, room.path("to"))
        into = Added(source, kind, HALF, pid, workload, syscall)
        return [into, replace(into, path=room.path("to"))]

    return act


def fallocate(room: Room) -> Expected:
    """fallocate(2) zeroes parts of pages, and must bring those pages in."""
    path = room.cold("punched", PAGES)
    pid = room.run("punch", path, HOLES)
    return [Added(path, "fallocate", HOLES, pid, "punch", "fallocate")]


def preallocate(room: Room) -> Expected:
    """Plain preallocation brings in no page of the file."""
    room.cgroup.run("fallocate", "-l", str(PAGES * PAGE), str(room.path("reserved")))
    assert cached_pages(room.path("reserved")) == 0
    return []


def _willneed(call: str, syscall: str) -> Callable[[Room], Expected]:
    def act(room: Room) -> Expected:
        path = room.cold("in", PAGES)
        pid = room.run("willneed", path, call)
        return [Added(path, "readahead", PAGES, pid, "willneed", syscall)]

    return act


def _uring(what: str, how: str) -> Callable[[Room], Expected]:
    def act(room: Room) -> Expected:
        path = room.cold("file", HALF) if what == "read" else room.path("file")
        pid = room.run("uring", path, what, HALF, how)
        return [Added(path, "io_uring", HALF, pid, "uring")]

    return act


def mixed(room: Room) -> Expected:
    """One task, one file: even pages read, odd pages faulted in."""
    path = room.cold("in", PAGES)
    pid = room.run("mixed", path, PAGES)
    odd = Added(path, "mmap", PAGES // 2, pid, "mixed", "page fault")
    return [odd, replace(odd, kind="read", pages=PAGES - PAGES // 2, syscall="pread64")]


def write_from_map(room: Room) -> Expected:
    """write(2) out of a mapped file: its pages fault in during the call, but were not written."""
    source = room.cold("from", HALF)
    pid = room.run("write_from_map", source, room.path("to"))
    out = Added(room.path("to"), "write", HALF, pid, "write_from_map", "write")
    return [out, replace(out, path=source, kind="mmap", syscall=None)]


def hard_link(room: Room) -> Expected:
    """A file with two names, written through the second."""
    room.path("first").touch()
    os.link(room.path("first"), room.path("second"))
    pid = room.run("write", room.path("second"), HALF, PAGE)
    return [Added(room.path("second"), "write", HALF, pid, "write", "write")]


ACTS: dict[str, Callable[[Room], Expected]] = {
    "write-4k": write_4k,
    "write-1m": write_1m,
    "write-odd": write_odd,
    "write-direct": write_direct,
    "write-compat": write_compat,
    "read": _read("read", "read"),
    "pread": _read("pread", "pread64"),
    "preadv": _read("preadv", "preadv"),
    "mmap": _fault("touch", "page fault"),
    "mmap-populate": _fault("populate", "mmap"),
    "mmap-store": mmap_store,
    "sendfile": _copy("sendfile", "sendfile", "sendfile"),
    "splice": _copy("splice", "splice", "splice"),
    "copy-file-range": _copy("copy_range", "copy_file_range", "copy_file_range"),
    "fallocate": fallocate,
    "preallocate": preallocate,
    "readahead": _willneed("readahead", "readahead"),
    "fadvise": _willneed("fadvise", "fadvise64"),
    "madvise": _willneed("madvise", "madvise"),
    "uring-write": _uring("write", "inline"),
    "uring-write-worker": _uring("write", "async"),
    "uring-read": _uring("read", "inline"),
    "uring-read-worker": _uring("read", "async"),
    "mixed": mixed,
    "write-from-map": write_from_map,
    "hard-link": hard_link,
}

Scene = tuple[Quiet, dict[str, tuple[Room, Expected]]]


@pytest.fixture(scope="module")
def scene(memtrace: Memtrace, rooms: Rooms) -> Scene:
    """Every act done in a cgroup of its own, and what memtrace says when all is quiet."""
    outcomes = rooms.act_all(ACTS)
    return rooms.settle(memtrace), outcomes


def _row(scene: Scene, act: str) -> tuple[Row, Expected]:
    snapshot, outcomes = scene
    room, expected = outcomes[act]
    return snapshot.row(room.cgroup.path), expected


@pytest.mark.parametrize("act", ACTS)
def test_ledger_equals_memory_stat(scene: Scene, act: str) -> None:
    """What is attributed is what memory.stat says, to the page."""
    snapshot, outcomes = scene
    assert_exact(snapshot, outcomes[act][0].cgroup)


@pytest.mark.parametrize("act", ACTS)
def test_driver_names_process_kind_and_bytes(scene: Scene, act: str) -> None:
    """Each file has one driver row per kind of I/O, with the process and every byte of it."""
    row, expected = _row(scene, act)
    for added in expected:
        found = [driver for driver in row["drivers"] if same_file(driver, added.path)]
        found = [driver for driver in found if driver["kind"] == added.kind]
        assert [driver["added_bytes"] for driver in found] == [added.bytes], row["drivers"]
        assert (found[0]["tgid"], found[0]["comm"]) == (added.pid, added.comm)
        assert added.syscall in (None, found[0]["syscall"])


@pytest.mark.parametrize("act", ACTS)
def test_driver_has_the_path(scene: Scene, act: str) -> None:
    """A driver's path is the file's path on this host; a hard link has several right ones."""
    row, expected = _row(scene, act)
    for added in expected:
        paths = {driver["path"] for driver in row["drivers"] if same_file(driver, added.path)}
        assert len(paths) == 1
        assert os.path.samefile(paths.pop(), added.path)


@pytest.mark.parametrize("act", ACTS)
def test_no_other_cause_is_made_up(scene: Scene, act: str) -> None:
    """A file brought in by one kind of I/O shows no other kind."""
    row, expected = _row(scene, act)
    for path in {added.path for added in expected}:
        wanted = {added.kind for added in expected if added.path == path}
        shown = {driver["kind"] for driver in row["drivers"] if same_file(driver, path)}
        assert shown == wanted


@pytest.mark.parametrize("act", ACTS)
def test_io_totals_per_kind(scene: Scene, act: str) -> None:
    """The totals per kind of I/O are the sums over the files.

    Beside its own files a process may have to bring in what it consists of, where the machine
    reclaimed some of it: its program, the shell before it, their libraries.
    """
    row, expected = _row(scene, act)
    own, directory = {added.path for added in expected}, scene[1][act][0].directory
    assert row["drivers_other_bytes"] == 0
    for added in expected:
        rows = row.drivers(kind=added.kind)
        others = [each for each in rows if not any(same_file(each, path) for path in own)]
        assert all(_of_the_program(each, added.pid, directory) for each in others), others
        own_bytes = sum(each.bytes for each in expected if each.kind == added.kind)
        assert row.io(added.kind) == own_bytes + sum(each["added_bytes"] for each in others)


def _of_the_program(driver: dict[str, Any], pid: int, directory: Path) -> bool:
    """Whether a row is of a process and a file that it runs: no test has one outside its room."""
    return driver["tgid"] == pid and directory not in Path(driver["path"]).parents


@pytest.mark.parametrize("act", ACTS)
def test_files_show_what_is_resident(scene: Scene, act: str) -> None:
    """The file rows say how much of each file is in the cache, as cachestat does."""
    row, expected = _row(scene, act)
    for path in {added.path for added in expected}:
        rows = [entry for entry in row["files"] if same_file(entry, path)]
        assert [entry["resident_bytes"] for entry in rows] == [scene[0].cached(path) * PAGE]


@pytest.mark.parametrize("act", ACTS)
def test_processes_show_their_sum(scene: Scene, act: str) -> None:
    """The process rows add up what a process did to all its files."""
    row, expected = _row(scene, act)
    for pid in {added.pid for added in expected}:
        rows = [entry for entry in row["processes"] if entry["pid"] == pid]
        least = sum(added.bytes for added in expected if added.pid == pid)
        assert len(rows) == 1
        assert rows[0]["added_bytes"] >= least


def test_exec_of_a_big_binary(memtrace: Memtrace, rooms: Rooms) -> None:
    """Running a cold binary is charged to exec for its head and to faults for the rest."""
    room = rooms.open("exec")
    binary = Path(shutil.copy(room.workloads["big"], room.path("big-binary")))
    cool(binary)
    pid = room.cgroup.run(binary)
    quiet = rooms.settle(memtrace)
    row = assert_exact(quiet, room.cgroup)
    drivers = [driver for driver in row["drivers"] if same_file(driver, binary)]
    assert {driver["kind"] for driver in drivers} == {"exec", "mmap"}
    assert {(driver["tgid"], driver["comm"]) for driver in drivers} == {(pid, "big-binary")}
    (entry,) = [entry for entry in row["files"] if same_file(entry, binary)]
    assert entry["resident_bytes"] == quiet.cached(binary) * PAGE
    added = sum(driver["added_bytes"] for driver in drivers)
    assert added == entry["added_bytes"] >= BIG_PAGES * PAGE
