"""Facts about processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.host import procfs
from memtrace.host.hierarchy import Hierarchy
from tests.unit.host import trees

V1_TEXT = "9:name=systemd:/x\n4:memory,hugetlb:/a:b/c\n0::/unified\n"
STAT = "42 (a b) c) S 1 42 42 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 311546 9 9\n"


def hierarchy(root: Path, version: int = 1) -> Hierarchy:
    """A hierarchy mounted below the fixture root."""
    return Hierarchy("v1" if version == 1 else "v2", root / "cg", 4, version)


def test_comm_loses_its_newline_only(tmp_path: Path) -> None:
    """A name may hold blanks and any bytes."""
    trees.write(tmp_path, "proc/7/comm", "a b \n\n")
    assert procfs.read_comm(tmp_path, 7) == "a b \n"
    (tmp_path / "proc/7/comm").write_bytes(b"\xff\n")
    assert procfs.read_comm(tmp_path, 7) == "\udcff"
    assert procfs.read_comm(tmp_path, 8) is None


def test_a_process_is_found_in_the_memory_hierarchy(tmp_path: Path) -> None:
    """Colons belong to the path; v1 is told by its controller, v2 by number 0."""
    trees.write(tmp_path, "proc/7/cgroup", V1_TEXT)
    assert procfs.memory_cgroup(tmp_path, hierarchy(tmp_path), 7) == "/a:b/c"
    assert procfs.memory_cgroup(tmp_path, hierarchy(tmp_path, 2), 7) == "/unified"
    assert procfs.memory_cgroup(tmp_path, hierarchy(tmp_path), 8) is None


@pytest.mark.parametrize(
    ("base", "shown", "expected"),
    [
        ("/", "/", "/"),
        ("/kubepods/pod1/me", "/", "/kubepods/pod1/me"),
        ("/kubepods/pod1/me", "/below", "/kubepods/pod1/me/below"),
        ("/kubepods/pod1/me", "/../../pod2/x", "/kubepods/pod2/x"),
        ("/", "/../x", None),
        ("/", "/a (deleted)", None),
    ],
)
def test_paths_seen_from_a_namespace_are_made_absolute(
    tmp_path: Path, base: str, shown: str, expected: str | None
) -> None:
    """An agent in a container sees its neighbours as /../name."""
    trees.write(tmp_path, "proc/7/cgroup", f"0::{shown}\n")
    assert procfs.memory_cgroup(tmp_path, hierarchy(tmp_path, 2), 7, base) == expected


def test_the_base_of_the_namespace_is_where_this_process_is_found(tmp_path: Path) -> None:
    """Outside of a namespace the shown path is the true one."""
    trees.write(tmp_path, "proc/self/cgroup", "0::/\n")
    trees.write(tmp_path, "cg/pods/me/cgroup.procs", f"{os.getpid()}\n")
    trees.write(tmp_path, "cg/cgroup.procs", "1\n")
    found = procfs.namespace_base(tmp_path, hierarchy(tmp_path, 2), ["/", "/pods", "/pods/me"])
    assert found == "/pods/me"
    trees.write(tmp_path, "proc/self/cgroup", "0::/pods/me\n")
    assert procfs.namespace_base(tmp_path, hierarchy(tmp_path, 2), []) == "/"


@pytest.mark.parametrize(
    ("start", "text", "field", "same"),
    [
        (0, 0x401000, "4198400", True),
        (0, 0x402000, "4198400", False),
        (0, 0x402000, "1", True),
        (1 << 20, 0x401000, "4198400", False),
        (0, 0x401000, "", False),
    ],
)
def test_a_program_is_the_one_that_was_seen(
    tmp_path: Path, start: int, text: int, field: str, same: bool
) -> None:
    """By its start, and where its code begins; 1 stands there for who may not know it."""
    before = "42 (a b) S 1 42 42 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 311546 9 9 99"
    trees.write(tmp_path, "proc/42/stat", f"{before} {field}\n")
    begun = 311546 * 10_000_000 >> 20
    assert procfs.runs_from(tmp_path, 42, begun + start, text) is same
    assert not procfs.runs_from(tmp_path, 43, begun, text)


@pytest.mark.parametrize(
    ("stat", "kernels"),
    [
        ("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0", True),  # as Linux 6.18 has it
        ("9 (a) b) S 1 9 9 0 -1 4194560 0 0", False),
        ("9 (x) S 1 9 9 0 -1", False),
        ("9 (x) S 1 9 9 0 -1 -2129984 0", False),
        ("9 (x) S 1 9 9 0 -1 " + 5000 * "9", False),
        ("", False),
    ],
)
def test_a_thread_of_the_kernels_own_is_told(tmp_path: Path, stat: str, kernels: bool) -> None:
    """By its flags, whatever its name holds."""
    trees.write(tmp_path, "proc/9/stat", stat)
    assert procfs.is_kernel_thread(tmp_path, 9) is kernels
    assert not procfs.is_kernel_thread(tmp_path, 10)


def test_the_start_is_counted_from_the_end_of_the_command(tmp_path: Path) -> None:
    """A command may hold blanks and brackets."""
    trees.write(tmp_path, "proc/42/stat", STAT)
    assert procfs.start_ticks(tmp_path, 42) == 311546
    assert procfs.start_ticks(tmp_path, 43) is None


@given(st.integers(0, 1 << 60), st.integers(0, 9_999_999))
def test_ticks_match_the_start_they_were_rounded_from(ticks: int, within: int) -> None:
    """For any boot time, beyond the wrap of 32 bits too, and not for a second later."""
    start = (ticks * 10_000_000 + within) >> 20 & 0xFFFF_FFFF
    assert procfs.same_start(ticks, start)
    assert not procfs.same_start(ticks + 100, start)


def test_pids_are_the_thread_groups_listed(tmp_path: Path) -> None:
    """0 stands for a process outside of the reader's pid namespace."""
    trees.write(tmp_path, "cg/a/cgroup.procs", "12\n0\nx\n99999999999\n7\n")
    assert procfs.pids_in(hierarchy(tmp_path), "/a") == (12, 7)
    assert procfs.pids_in(hierarchy(tmp_path), "/gone") == ()


def test_existence_and_boot_id(tmp_path: Path) -> None:
    """Both come from the injected root."""
    trees.write(tmp_path, "proc/7/comm", "x\n")
    boot = "638fc9da-70ee-4c03-90e3-decdc113d180"
    trees.write(tmp_path, "proc/sys/kernel/random/boot_id", f"{boot}\n")
    assert procfs.exists(tmp_path, 7)
    assert not procfs.exists(tmp_path, 8)
    assert procfs.boot_id(tmp_path) == boot
    assert procfs.boot_id(tmp_path / "none") is None


@given(st.binary(max_size=200))
def test_any_bytes_parse(data: bytes) -> None:
    """Odd content is unknown, never an exception."""
    assert (procfs.parse_start_ticks(data) or 0) >= 0
    for version in (1, 2):
        path = procfs.parse_cgroup(data, version)
        assert path is None or path.startswith("/")


MAPS = """\
00400000-0045a000 r-xp 00000000 08:01 77   /bin/app
7f0000000000-7f0000001000 r--p 00000000 08:01 78   /lib/libc.so
"""


@pytest.mark.parametrize(("inode", "start"), [(77, 0x400000), (78, 0x7F0000000000), (5, None)])
def test_where_a_program_is_mapped(tmp_path: Path, inode: int, start: int | None) -> None:
    """By the inode of its file."""
    trees.write(tmp_path, "proc/7/maps", MAPS)
    (tmp_path / "proc/7/exe").symlink_to("/elsewhere")
    assert procfs.lowest_mapping(tmp_path, 7, inode) == start
    assert procfs.lowest_mapping(tmp_path, 8, inode) is None


def test_where_a_program_below_an_overlay_is_mapped(tmp_path: Path) -> None:
    """By its path: older kernels show another inode."""
    trees.write(tmp_path, "proc/7/maps", MAPS)
    (tmp_path / "proc/7/exe").symlink_to("/bin/app")
    assert procfs.lowest_mapping(tmp_path, 7, 1234) == 0x400000


@given(st.binary(max_size=200))
def test_garbage_maps_nothing(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Never an error."""
    root = tmp_path_factory.mktemp("host")
    (root / "proc/7").mkdir(parents=True)
    (root / "proc/7/maps").write_bytes(data)
    (root / "proc/7/exe").symlink_to("/bin/app")
    procfs.lowest_mapping(root, 7, 77)


def test_all_processes_are_listed(tmp_path: Path) -> None:
    """Numbers only."""
    for name in ("1", "42", "self", "9x", "123456789"):
        (tmp_path / "proc" / name).mkdir(parents=True)
    assert procfs.all_pids(tmp_path) == {1, 42}
    assert procfs.all_pids(tmp_path / "nowhere") == set()


def test_what_may_be_executed(tmp_path: Path) -> None:
    """Mapped files only: not the stack, not what was made up in memory."""
    anonymous = "7f1000000000-7f1000001000 rwxp 00000000 00:00 0 \n"
    trees.write(tmp_path, "proc/7/maps", MAPS + anonymous + "garbage\n")
    assert procfs.executable_mappings(tmp_path, 7) == (procfs.Mapping(0x400000, 0x45A000, 0),)
    assert procfs.executable_mappings(tmp_path, 8) == ()
