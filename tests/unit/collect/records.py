"""Records as the kernel writes them, packed by hand from bpf/include/wire.h. Decodes nothing."""

from __future__ import annotations

import struct

PATH, TASK, EXIT, MKDIR, RMDIR, RELEASE = 1, 2, 3, 4, 5, 6
READ, WRITE, MMAP, METADATA, SHMEM = 0, 1, 2, 10, 11
RECLAIM, TRUNCATE, UNLINK, DROP = 16, 17, 18, 19
TRUNCATED, NONE, PSEUDO = 1, 2, 4
DISK, TMPFS = 0x800001, 0x19

Chunk = tuple[memoryview, memoryview, int]


def file(inode: int, device: int = DISK, generation: int = 7) -> bytes:
    """A struct mt_file."""
    return struct.pack("<QII", inode, device, generation)


def process(tgid: int, start: int = 1) -> bytes:
    """A tgid and its start."""
    return struct.pack("<II", tgid, start)


def chunk(rows: dict[tuple[int, bytes, bytes, int], int], syscall: int = 1) -> Chunk:
    """Ledger rows: (cgroup, file, process, kind) to pages."""
    keys = b"".join(
        struct.pack("<Q16s8sII", cgroup, of, by, kind, 0) for cgroup, of, by, kind in rows
    )
    values = b"".join(struct.pack("<QiI", pages, syscall, 0) for pages in rows.values())
    return memoryview(bytearray(keys)), memoryview(bytearray(values)), len(rows)


def path_event(
    of: bytes, *leaf_first: bytes, flags: int = 0, links: int = 1, superblock: int | None = None
) -> bytes:
    """A file's path, components leaf first."""
    device = int.from_bytes(of[8:12], "little") if superblock is None else superblock
    path = b"".join(name + b"\0" for name in leaf_first)
    head = struct.pack("<II16s5I4x", PATH, flags, of, links, 0o100644, 0xEF53, len(path), device)
    return head + path


def task_event(by: bytes, comm: bytes) -> bytes:
    """A process' name."""
    return struct.pack("<I8sI16s", TASK, by, 0, comm)


def exit_event(by: bytes, peak_pages: int, read: int, written: int) -> bytes:
    """A process' end; amounts of (1 << 64) - 1 are not known."""
    return struct.pack("<I8sI3Q", EXIT, by, 0, peak_pages, read, written)


def cgroup_event(change: int, cgroup: int, parent: int, path: str) -> bytes:
    """A cgroup made, removed or released."""
    name = path.encode("utf-8", "surrogateescape") + b"\0"
    return struct.pack("<IIQQ", change, len(name), cgroup, parent) + name


def total(added: dict[int, int], removed: dict[int, int], overflow: int = 0) -> bytes:
    """A struct mt_total: pages by kind, pages by reason (0 is reclaim)."""
    numbers = [added.get(kind, 0) for kind in range(16)]
    numbers += [removed.get(reason, 0) for reason in range(8)]
    return struct.pack("<26Q", *numbers, overflow, 0)
