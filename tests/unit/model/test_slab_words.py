"""Kernel objects in the words people use."""

from __future__ import annotations

import pytest

from memtrace.model.slab_culprits import SlabCause
from memtrace.model.slab_words import objects, slab_cause

GIB = 1 << 30


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (
            SlabCause("dentry", "fluent-bit", 7, "newfstatat", 1, int(1.1 * GIB), 0, True),
            "stat() of missing names by fluent-bit: 1.1 GiB of dentries",
        ),
        (
            SlabCause("dentry", "pg", 7, "openat", 1, GIB, 0, False),
            "open() by pg: 1.0 GiB of dentries",
        ),
        (
            SlabCause("ext4_inode_cache", "find", 0, "getdents64", 1, GIB, 0, None),
            "listing directories by find: 1.0 GiB of ext4 inodes",
        ),
        (
            SlabCause("radix_tree_node", None, 7, "page fault", 1, GIB, 0, None),
            "page faults by pid 7: 1.0 GiB of nodes of file indexes",
        ),
        (
            SlabCause("odd", None, 0, None, 1, GIB, 0, None),
            "unknown call: 1.0 GiB of odd objects",
        ),
    ],
)
def test_a_cause_is_one_sentence(cause: SlabCause, text: str) -> None:
    """What was done, by whom, and how much of what there was."""
    assert slab_cause(cause) == text


@pytest.mark.parametrize(
    ("cache", "text"),
    [
        ("dentry", "dentries"),
        ("inode_cache", "inodes"),
        ("ext4_inode_cache", "ext4 inodes"),
        ("xfs_inode", "xfs inodes"),
        ("proc_inode_cache", "proc inodes"),
        ("buffer_head", "buffer heads"),
        ("kernfs_node_cache", "kernfs_node_cache objects"),
    ],
)
def test_caches_are_called_by_what_is_in_them(cache: str, text: str) -> None:
    """What nobody has words for keeps its name."""
    assert objects(cache) == text
