"""Finding the memory hierarchy and the cgroups in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memtrace.host.hierarchy import Hierarchy, HostError, find_hierarchy, walk
from tests.unit.host import trees

CGROUPS = ("/b.slice", "/b.slice/two", "/b.slice/one", "/a", "/a/deep/er")


@pytest.mark.parametrize(
    ("mode", "where", "hierarchy_id", "version"),
    [
        ("v1", "sys/fs/cgroup/memory", 4, 1),
        ("hybrid", "sys/fs/cgroup/memory", 4, 1),
        ("v2", "sys/fs/cgroup", 0, 2),
    ],
)
def test_each_mode_is_recognised(
    tmp_path: Path, mode: str, where: str, hierarchy_id: int, version: int
) -> None:
    """Memory on v1 with a cgroup2 beside it is hybrid."""
    trees.host(tmp_path, mode)
    expected = Hierarchy(mode, tmp_path / where, hierarchy_id, version)
    assert find_hierarchy(tmp_path) == expected


def test_a_host_without_cgroups_is_one_sentence(tmp_path: Path) -> None:
    """The error says what is missing and what to do."""
    with pytest.raises(HostError, match=r"^No cgroup file system is mounted under .*\.$"):
        find_hierarchy(tmp_path)


def test_a_disabled_memory_controller_is_one_sentence(tmp_path: Path) -> None:
    """A cgroup2 without memory cannot be used."""
    mount = trees.host(tmp_path, "v2")
    (mount / "cgroup.controllers").write_text("cpu pids\n")
    with pytest.raises(HostError, match="cgroup_disable=memory"):
        find_hierarchy(tmp_path)


def test_mount_points_may_already_carry_the_root(tmp_path: Path) -> None:
    """An agent in a container sees the host's hierarchy mounted below the prefix."""
    trees.host(tmp_path, "v2")
    shown = trees.text("mountinfo_v2.txt").replace(" /sys/fs", f" {tmp_path}/sys/fs")
    (tmp_path / "proc/self/mountinfo").write_text(shown)
    assert find_hierarchy(tmp_path).mount == tmp_path / "sys/fs/cgroup"


def test_the_mounts_of_pid_1_help_when_the_own_ones_do_not(tmp_path: Path) -> None:
    """Below a prefix, the host's view is read too."""
    trees.host(tmp_path, "v2")
    (tmp_path / "proc/1").mkdir()
    (tmp_path / "proc/self/mountinfo").rename(tmp_path / "proc/1/mountinfo")
    assert find_hierarchy(tmp_path).mode == "v2"


@pytest.mark.parametrize("mode", ["v1", "v2"])
def test_a_walk_lists_parents_first_and_siblings_by_name(tmp_path: Path, mode: str) -> None:
    """The order is the same every time, and ids are the inodes of the directories."""
    trees.host(tmp_path, mode, (*CGROUPS[:4], "/a/deep", CGROUPS[4]))
    hierarchy = find_hierarchy(tmp_path)
    found = list(walk(hierarchy))
    assert [entry.path for entry in found] == [
        "/",
        "/a",
        "/a/deep",
        "/a/deep/er",
        "/b.slice",
        "/b.slice/one",
        "/b.slice/two",
    ]
    ids = {entry.path: entry.id for entry in found}
    for entry in found:
        assert entry.id == os.stat(f"{hierarchy.mount}{entry.path}").st_ino
        parent = entry.path.rpartition("/")[0] or "/"
        assert entry.parent_id == (None if entry.path == "/" else ids[parent])


def test_v2_children_without_the_controller_are_no_memory_cgroups(tmp_path: Path) -> None:
    """Their pages are charged to the parent."""
    mount = trees.host(tmp_path, "v2", ("/user.slice", "/user.slice/app"))
    (mount / "user.slice/cgroup.subtree_control").write_text("pids\n")
    assert [e.path for e in walk(find_hierarchy(tmp_path))] == ["/", "/user.slice"]


def test_a_cgroup_that_vanishes_during_the_walk_is_skipped(tmp_path: Path) -> None:
    """The rest is still listed."""
    mount = trees.host(tmp_path, "v1", ("/a", "/b", "/b/c"))
    seen = []
    for entry in walk(find_hierarchy(tmp_path)):
        seen.append(entry.path)
        if entry.path == "/a":
            (mount / "b").rename(tmp_path / "gone")
    assert seen == ["/", "/a", "/b"]


def test_links_are_not_cgroups(tmp_path: Path) -> None:
    """A loop by a symbolic link does not trap the walk."""
    mount = trees.host(tmp_path, "v1", ("/a",))
    (mount / "a/loop").symlink_to("..")
    assert [e.path for e in walk(find_hierarchy(tmp_path))] == ["/", "/a"]


def test_undecodable_names_survive(tmp_path: Path) -> None:
    """A name of any bytes leads back to its directory."""
    mount = trees.host(tmp_path, "v1")
    os.mkdir(os.fsencode(mount) + b"/\xff\xfe")
    *_, last = walk(find_hierarchy(tmp_path))
    assert os.fsencode(last.path) == b"/\xff\xfe"


def test_a_vanished_mount_lists_nothing(tmp_path: Path) -> None:
    """No exception from a generator in the middle of a sample."""
    assert list(walk(Hierarchy("v2", tmp_path / "gone", 0, 2))) == []
