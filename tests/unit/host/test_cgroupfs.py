"""Reading the figures of cgroups."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from memtrace.host import cgroupfs
from memtrace.host.cgroupfs import CgroupReader
from memtrace.host.hierarchy import find_hierarchy
from memtrace.samples import Memory
from tests.unit.host import trees

PAGE = os.sysconf("SC_PAGE_SIZE")


class Host:
    """A fixture host with one reader."""

    def __init__(self, root: Path, mode: str, *cgroups: str, cap: int | None = None) -> None:
        self.mount = trees.host(root, mode, cgroups)
        self.reader = CgroupReader(find_hierarchy(root), cap)

    def read(self, path: str, changed: bool = True) -> Memory | None:
        """Read a cgroup by its path."""
        return self.reader.read((self.mount / path[1:]).stat().st_ino, path, changed)

    def write(self, relative: str, content: str) -> None:
        """Change a file in place, as the kernel does."""
        (self.mount / relative).write_text(content)


@pytest.fixture
def v1(tmp_path: Path) -> Iterator[Host]:
    """A hybrid host with the cgroup /a, nothing dirty."""
    host = Host(tmp_path, "hybrid", "/a")
    clean = trees.text("memory_stat_v1.txt").replace("total_dirty 77824", "total_dirty 0")
    host.write("a/memory.stat", clean.replace("total_writeback 4096", "total_writeback 0"))
    yield host
    host.reader.close()


def test_v1_figures_have_their_names(tmp_path: Path) -> None:
    """Hierarchical, in bytes; slab is unknown on v1; refaults are counted in pages."""
    assert Host(tmp_path, "v1", "/a").read("/a") == Memory(
        limit_bytes=536870912,
        usage_bytes=370327552,
        inactive_file_bytes=282411008,
        active_file_bytes=63074304,
        anon_bytes=16068608,
        file_bytes=354484224,
        shmem_bytes=8998912,
        dirty_bytes=77824,
        writeback_bytes=4096,
        refaulted_bytes=69469 * PAGE,
        kernel_bytes=23101440,
        swap_bytes=12288,
        memsw_limit_bytes=805306368,
        sock_bytes=8192,
    )


def test_v2_figures_have_their_names(tmp_path: Path) -> None:
    """Everything that v1 cannot say is there."""
    assert Host(tmp_path, "v2", "/a").read("/a") == Memory(
        limit_bytes=536870912,
        usage_bytes=370327552,
        inactive_file_bytes=282411008,
        active_file_bytes=63074304,
        anon_bytes=16068608,
        file_bytes=354484224,
        shmem_bytes=8998912,
        dirty_bytes=77824,
        writeback_bytes=4096,
        refaulted_bytes=69469 * PAGE,
        slab_bytes=18874368,
        slab_reclaimable_bytes=14155776,
        kernel_bytes=23101440,
        swap_bytes=12288,
        swap_limit_bytes=268435456,
        sock_bytes=8192,
        kernel_stack_bytes=1310720,
        page_table_bytes=2453504,
        percpu_bytes=184320,
    )


def test_the_root_of_v2_has_no_usage_and_no_limit(tmp_path: Path) -> None:
    """Unknown is None, and the rest of its memory.stat is still read, every time."""
    host = Host(tmp_path, "v2")
    memory = host.read("/")
    assert memory is not None
    assert (memory.usage_bytes, memory.limit_bytes, memory.swap_bytes) == (None, None, None)
    host.write("memory.stat", "anon 1\nfile 2\n")
    assert host.read("/", changed=False) == Memory(anon_bytes=1, file_bytes=2)


def test_socket_buffers_of_v1_are_counted_under_a_limit_only(v1: Host) -> None:
    """Without one, zero says nothing."""
    v1.write("a/memory.kmem.tcp.usage_in_bytes", "0\n")
    unlimited = v1.read("/a")
    v1.write("a/memory.kmem.tcp.limit_in_bytes", "4096\n")
    limited = v1.read("/a")
    assert unlimited is not None
    assert limited is not None
    assert (unlimited.sock_bytes, limited.sock_bytes) == (None, 0)


def huge_pages(root: Path, *sizes: int) -> None:
    """A kernel with huge pages of these sizes, in KiB."""
    for size in sizes:
        trees.write(root, f"sys/kernel/mm/hugepages/hugepages-{size}kB/nr_hugepages", "0\n")


def test_huge_pages_of_all_sizes_are_summed(tmp_path: Path) -> None:
    """v2 has their counters in the cgroup itself, once the controller is on there."""
    huge_pages(tmp_path, 2048, 1 << 20)
    host = Host(tmp_path, "v2", "/a", "/off")
    trees.write(tmp_path, "sys/fs/cgroup/cgroup.controllers", "hugetlb memory\n")
    host.reader = CgroupReader(find_hierarchy(tmp_path))
    host.write("a/hugetlb.2MB.current", "4194304\n")
    host.write("a/hugetlb.1GB.current", "1073741824\n")
    for path, expected in (("/a", 4194304 + 1073741824), ("/off", None), ("/", None)):
        memory = host.read(path)
        assert memory is not None
        assert memory.hugetlb_bytes == expected


def test_huge_pages_of_v1_are_in_a_hierarchy_of_their_own(tmp_path: Path) -> None:
    """At the same path; where there is none, they are unknown."""
    huge_pages(tmp_path, 2048, 64)
    trees.host(tmp_path, "v1", ("/a", "/b"))
    mountinfo = tmp_path / "proc/self/mountinfo"
    line = "99 31 0:99 / /sys/fs/cgroup/hugetlb rw - cgroup cgroup rw,hugetlb\n"
    mountinfo.write_text(mountinfo.read_text() + line)
    for size, amount in (("2MB", 2 << 20), ("64KB", 65536)):
        relative = f"sys/fs/cgroup/hugetlb/a/hugetlb.{size}.usage_in_bytes"
        trees.write(tmp_path, relative, f"{amount}\n")
    hierarchy = find_hierarchy(tmp_path)
    reader = CgroupReader(hierarchy)
    found = {
        path: reader.read((hierarchy.mount / path[1:]).stat().st_ino, path) for path in ("/a", "/b")
    }
    reader.close()
    huge = {path: memory and memory.hugetlb_bytes for path, memory in found.items()}
    assert huge == {"/a": (2 << 20) + 65536, "/b": None}


def test_no_limit_is_none(v1: Host) -> None:
    """v1's huge number is no limit, of memory and of both together."""
    v1.write("a/memory.limit_in_bytes", "9223372036854771712\n")
    v1.write("a/memory.memsw.limit_in_bytes", "9223372036854771712\n")
    memory = v1.read("/a")
    assert memory is not None
    assert (memory.limit_bytes, memory.memsw_limit_bytes) == (None, None)


def test_an_unchanged_cgroup_gives_the_same_object_again(v1: Host) -> None:
    """Usage and limit alone decide, when nothing else saw a change."""
    first = v1.read("/a")
    v1.write("a/memory.stat", "total_cache 1\n")
    with mock.patch.object(cgroupfs, "_FULL_READ_EVERY", 1000):  # whatever the inode's number
        assert v1.read("/a", changed=False) is first


def test_a_cgroup_at_its_limit_is_read_in_full(v1: Host) -> None:
    """What goes to swap there makes room for as much: usage stands still."""
    v1.write("a/memory.usage_in_bytes", "536870912\n")
    v1.read("/a")
    v1.write("a/memory.stat", "total_cache 1\ntotal_swap 4096\n")
    memory = v1.read("/a", changed=False)
    assert memory is not None
    assert memory.swap_bytes == 4096


def test_a_changed_usage_is_seen_at_once(v1: Host) -> None:
    """Whatever moved it."""
    first = v1.read("/a")
    v1.write("a/memory.usage_in_bytes", "4096\n")
    assert v1.read("/a", changed=False) != first


def test_a_changed_limit_is_seen_at_the_fourth_read(v1: Host) -> None:
    """A limit can change alone, but seldom does."""
    first = v1.read("/a")
    v1.write("a/memory.limit_in_bytes", "4096\n")
    seen = [v1.read("/a", changed=False) for _ in range(4)]
    assert any(memory != first for memory in seen)


def test_a_forced_read_is_a_full_read(v1: Host) -> None:
    """The ledger may have moved while usage did not."""
    v1.read("/a")
    v1.write("a/memory.stat", "total_cache 1\n")
    assert v1.read("/a") == Memory(
        limit_bytes=536870912,
        usage_bytes=370327552,
        file_bytes=1,
        kernel_bytes=23101440,
        memsw_limit_bytes=805306368,
        sock_bytes=8192,
    )


def test_dirty_pages_are_followed_until_they_are_clean(v1: Host) -> None:
    """Writeback changes no usage."""
    v1.write("a/memory.stat", "total_cache 8192\ntotal_dirty 4096\n")
    v1.read("/a")
    v1.write("a/memory.stat", "total_cache 8192\ntotal_dirty 0\n")
    memory = v1.read("/a", changed=False)
    assert memory is not None
    assert memory.dirty_bytes == 0


def test_nothing_is_older_than_twenty_reads(v1: Host) -> None:
    """Usage may stand still by chance; then the figures still refresh."""
    v1.read("/a")
    v1.write("a/memory.stat", "total_cache 1\n")
    seen = [v1.read("/a", changed=False) for _ in range(20)]
    assert any(memory is not None and memory.file_bytes == 1 for memory in seen)


def test_a_path_taken_by_another_cgroup_is_not_read(v1: Host, tmp_path: Path) -> None:
    """The id decides, never the path."""
    old = (v1.mount / "a").stat().st_ino
    (v1.mount / "a").rename(tmp_path / "old")
    trees.cgroup(v1.mount, "/a", "v1")
    assert v1.reader.read(old, "/a") is None


def test_a_removed_cgroup_gives_none_and_is_let_go(v1: Host) -> None:
    """The kernel answers ENODEV on descriptors of a removed cgroup."""
    v1.read("/a")
    assert v1.reader.held == 1
    with mock.patch("os.pread", side_effect=OSError(errno.ENODEV, "gone")):
        assert v1.read("/a") is None
    assert v1.reader.held == 0


@pytest.mark.parametrize("path", ["/missing", "/a\0b", "/a/memory.stat"])
def test_what_is_no_cgroup_gives_none(v1: Host, path: str) -> None:
    """Missing, impossible or a file."""
    assert v1.reader.read(12345, path) is None


def test_a_cgroup_without_the_controller_gives_none(v1: Host) -> None:
    """A v2 cgroup whose parent does not hand the controller down."""
    (v1.mount / "a/memory.stat").unlink()
    assert v1.read("/a") is None


def test_descriptors_stay_below_the_cap(tmp_path: Path) -> None:
    """Cgroups beyond the cap are read all the same."""
    names = [f"/c{n}" for n in range(8)]
    before = len(os.listdir("/proc/self/fd"))
    host = Host(tmp_path, "v1", *names, cap=21)
    for _ in range(3):
        assert all(host.read(name) for name in names)
    assert host.reader.held == 3
    assert len(os.listdir("/proc/self/fd")) == before + 21
    host.reader.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_running_out_of_descriptors_lets_the_held_ones_go(tmp_path: Path) -> None:
    """A cgroup is not called vanished because a table is full."""
    host = Host(tmp_path, "v1", "/a", "/b")
    host.read("/a")
    real, failures = os.open, [OSError(errno.EMFILE, "full")]

    def scarce(*arguments: object, **named: object) -> int:
        if failures:
            raise failures.pop()
        return real(*arguments, **named)  # type: ignore[arg-type]

    with mock.patch("os.open", scarce):
        assert host.read("/b") is not None
    assert host.reader.held == 1


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    """Five or six descriptors per cgroup need more than the usual 1024."""
    with (
        mock.patch.object(resource, "getrlimit", return_value=(1024, 50_000)),
        mock.patch.object(resource, "setrlimit") as set_limit,
    ):
        assert cgroupfs._raise_descriptor_limit() == 50_000
    set_limit.assert_called_once_with(resource.RLIMIT_NOFILE, (50_000, 50_000))
