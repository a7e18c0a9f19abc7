"""Kernel objects in words, as "stat() of missing names by find: 1.1 GiB of dentries".

Does not escape or cut.
"""

from __future__ import annotations

from memtrace.model.slab_culprits import SlabCause
from memtrace.model.units import size
from memtrace.samples import SlabRow

# What several system calls do alike, as people call it.
_CALLS: dict[str, str] = {
    "lstat": "stat()",
    "newfstatat": "stat()",
    "statx": "stat()",
    "faccessat": "access()",
    "faccessat2": "access()",
    "openat": "open()",
    "openat2": "open()",
    "readlinkat": "readlink()",
    "unlinkat": "unlink()",
    "mkdirat": "mkdir()",
    "getdents64": "listing directories",
    "getdents": "listing directories",
    "page fault": "page faults",
}
_OBJECTS: dict[str, str] = {
    "dentry": "dentries",
    "buffer_head": "buffer heads",
    "radix_tree_node": "nodes of file indexes",
}


def slab_cause(cause: SlabCause) -> str:
    """Return who had how much of what allocated, and how."""
    return f"{deed(cause)}: {size(cause.bytes)} of {objects(cause.cache)}"


def deed(cause: SlabCause) -> str:
    """Return what was done and by whom, as "stat() of missing names by find"."""
    done = "unknown call" if cause.syscall is None else call(cause.syscall)
    if cause.missing:
        done = f"{done} of missing names"
    who = cause.comm or (f"pid {cause.tgid}" if cause.tgid else "")
    return f"{done} by {who}" if who else done


def call(syscall: str) -> str:
    """Return a system call as people know it."""
    return _CALLS.get(syscall, f"{syscall}()")


def objects(cache: str) -> str:
    """Return what a slab cache holds; one nobody has words for by its name."""
    if cache in _OBJECTS:
        return _OBJECTS[cache]
    if "inode" in cache:
        kind = cache.removesuffix("_cache").removesuffix("_inode")
        return "inodes" if kind == "inode" else f"{kind} inodes"
    return f"{cache} objects"


def unseen(row: SlabRow) -> bool:
    """Tell whether objects whose allocations can be watched were allocated before that."""
    return row.reclaimable and not row.culprits and "kmalloc" not in row.cache
