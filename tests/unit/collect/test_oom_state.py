"""The order of the kernel's statistics, learned from cgroups whose memory.stat is known."""

from __future__ import annotations

from pathlib import Path

from memtrace.collect.oom_state import State, amounts, learn
from memtrace.host.hierarchy import Hierarchy

PAGE = 4096


def cgroups(root: Path, **stats: str) -> Hierarchy:
    """A v2 hierarchy with these cgroups, each with its memory.stat."""
    (root / "cgroup.controllers").write_text("memory")
    (root / "cgroup.subtree_control").write_text("memory")
    for name, stat in stats.items():
        (root / name).mkdir()
        (root / name / "memory.stat").write_text(stat)
    return Hierarchy("v2", root, 0, 2)


def test_a_place_is_known_where_every_cgroup_agrees(tmp_path: Path) -> None:
    """Pages, KiB and bytes; what two places could be is not known, and neither is what is 0."""
    hierarchy = cgroups(
        tmp_path,
        a="anon 8192\nfile 4096\nkernel_stack 3072\nslab_reclaimable 17\nshmem 0\nsock 5\n",
        b="anon 12288\nfile 4096\nkernel_stack 1024\nslab_reclaimable 19\nshmem 0\nsock 5\n",
    )
    arrays: dict[str, State] = {"a": (1, 2, 3, 17, 0, 5, 5), "b": (1, 3, 1, 19, 0, 5, 5)}
    places = learn(hierarchy, lambda directory: arrays.get(directory.name), PAGE)
    assert places == {
        "anon": (1, PAGE),
        "file": (0, PAGE),
        "kernel_stack": (2, 1024),
        "slab_reclaimable": (3, 1),
    }


def test_amounts_are_bytes_and_never_below_0() -> None:
    """Sums over CPUs may be negative for a moment."""
    assert amounts((2, -1), {"anon": (0, PAGE), "file": (1, PAGE)}) == {"anon": 2 * PAGE, "file": 0}
