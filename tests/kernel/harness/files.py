"""Files whose page cache a test knows: made cold, counted by the kernel, removed.

Does not know about cgroups. The count comes from cachestat(2), or mincore(2) before Linux 6.5.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
CACHESTAT = 451

_libc = ctypes.CDLL(None, use_errno=True)


class _Range(ctypes.Structure):
    _fields_ = [("offset", ctypes.c_uint64), ("length", ctypes.c_uint64)]


class _Counts(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64) for name in ("cache", "dirty", "writeback", "evicted", "recent")
    ]


def cached_pages(path: str | os.PathLike[str]) -> int:
    """Return how many pages of a file the kernel holds, whoever pays for them."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        counts = _Counts()
        done = _libc.syscall(
            CACHESTAT, descriptor, ctypes.byref(_Range(0, 0)), ctypes.byref(counts), 0
        )
        return counts.cache if done == 0 else _mincore(descriptor)
    finally:
        os.close(descriptor)


def _mincore(descriptor: int) -> int:
    size = os.fstat(descriptor).st_size
    if size == 0:
        return 0
    with mmap.mmap(descriptor, size, mmap.MAP_PRIVATE) as mapping:
        first = ctypes.c_char.from_buffer(mapping)
        flags = (ctypes.c_ubyte * -(-size // PAGE))()
        failed = _libc.mincore(ctypes.byref(first), ctypes.c_size_t(size), flags)
        del first
    if failed:
        raise OSError(ctypes.get_errno(), "mincore")
    return sum(flag & 1 for flag in flags)


def cool(path: str | os.PathLike[str]) -> None:
    """Write a file back and drop its pages: the next reader pays for all of them."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    left = cached_pages(path)
    assert left == 0, f"{left} pages of {path} stayed in the cache"


def cold_file(path: Path, pages: int) -> Path:
    """Make a file of so many pages, none of them in the cache."""
    path.write_bytes(b"m" * (pages * PAGE))
    cool(path)
    return path


def identity(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (device, inode) of a file, the way the kernel tells files apart."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


@contextmanager
def disk_directory() -> Iterator[Path]:
    """Yield an empty directory on a file system with a disk behind it: tmpfs pages are shmem."""
    with tempfile.TemporaryDirectory(prefix="memtrace-test-", dir=_disk()) as name:
        yield Path(os.path.realpath(name))


def _disk() -> str:
    candidates = [os.environ.get("MEMTRACE_TEST_DIR"), "/var/tmp", "/tmp", os.getcwd()]
    for candidate in filter(None, candidates):
        if _file_system(candidate) not in {"tmpfs", "ramfs", "overlay"}:
            return candidate
    raise AssertionError("no directory on a disk: set MEMTRACE_TEST_DIR to one")


def _file_system(path: str) -> str:
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[2] == wanted:
            return fields[fields.index("-") + 1]
    return "unknown"


def cold_again(path: Path) -> None:
    """Take a file out of the cache; where pages stay, as some connection has them, it is new."""
    try:
        cool(path)
    except AssertionError:
        pages = -(-path.stat().st_size // PAGE)
        path.unlink()
        cold_file(path, pages)
