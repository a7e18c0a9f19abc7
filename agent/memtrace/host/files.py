"""Bounded reads of files that may be hostile, and whole writes. Knows no format.

Reading never raises on content.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from itertools import islice
from pathlib import Path
from typing import NamedTuple

_CHUNK = 65_536
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

# openat2(2), Linux 5.6: the same number on every architecture this runs on.
_SYS_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_IN_ROOT = 0x10

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _OpenHow(ctypes.Structure):
    """struct open_how of <linux/openat2.h>."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class Version(NamedTuple):
    """What tells one state of a file from another without reading it."""

    inode: int
    size: int
    mtime_ns: int


def read_bytes(path: Path | str, limit: int) -> bytes | None:
    """The whole file, or None when it is unreadable or longer than `limit` bytes."""
    try:
        fd = os.open(path, _FLAGS)
    except (OSError, ValueError):
        return None
    return _read_and_close(fd, limit)


def read_start(path: Path | str, limit: int) -> bytes | None:
    """The first `limit` bytes of a file, or all of a shorter one; None when it is unreadable."""
    try:
        fd = os.open(path, _FLAGS)
    except (OSError, ValueError):
        return None
    data = b""
    try:
        while len(data) < limit and (more := os.read(fd, limit - len(data))):
            data += more
    except OSError:
        return None
    finally:
        os.close(fd)
    return data


def read_beneath(root: Path, relative: str, limit: int, owner: int | None = None) -> bytes | None:
    """A regular file below `root`, or None; symbolic links cannot lead out of `root`.

    Links in directories are followed as if `root` were "/" (openat2, RESOLVE_IN_ROOT);
    kernels or sandboxes without openat2 follow none at all. The file itself is never
    a link. `owner`: the user it must belong to, for places that users may write to.
    """
    try:
        fd = _open_beneath(root, relative, _FLAGS | os.O_NOFOLLOW)
    except (OSError, ValueError):
        return None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or owner not in (None, status.st_uid):
        os.close(fd)
        return None
    return _read_and_close(fd, limit)


def version_beneath(root: Path, relative: str) -> Version | None:
    """What `read_beneath` would read now, to be compared; None when there is no such file."""
    try:
        fd = _open_beneath(root, relative, _FLAGS | os.O_NOFOLLOW)
    except (OSError, ValueError):
        return None
    try:
        status = os.fstat(fd)
    finally:
        os.close(fd)
    return Version(status.st_ino, status.st_size, status.st_mtime_ns)


def names_beneath(root: Path, relative: str, limit: int) -> tuple[str, ...]:
    """Names in a directory below `root`, any `limit` of them sorted; empty when unreadable.

    Links are followed as by `read_beneath`, also when the directory itself is one.
    """
    try:
        fd = _open_beneath(root, f"{relative}/.", _FLAGS | os.O_NOFOLLOW | os.O_DIRECTORY)
    except (OSError, ValueError):
        return ()
    try:
        with os.scandir(fd) as items:  # a list of all could be of any length
            return tuple(sorted(item.name for item in islice(items, limit)))
    except OSError:
        return ()
    finally:
        os.close(fd)


def real_directory(root: Path, path: str) -> str | None:
    """Where a directory below `root` really is, links followed as above; None: not there.

    The answer is a path as seen from `root`, which may be another process' /proc/PID/root.
    """
    try:
        base = _close_and_name(os.open(root, _DIRECTORY)).rstrip("/")
        found = _close_and_name(_open_beneath(root, path, _DIRECTORY))
    except (OSError, ValueError):
        return None
    return found.removeprefix(base) or "/" if f"{found}/".startswith(f"{base}/") else None


def replace_file(folder: int, name: str, data: bytes) -> None:
    """Put a file into an open directory: whole or not at all, also when the power fails.

    Readable by its owner alone. Raises OSError.
    """
    temporary = f".{name}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _close_and_name(fd: int) -> str:
    """Where an open directory is; one that was removed has a name that no directory has."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def _read_and_close(fd: int, limit: int) -> bytes | None:
    parts, left = [], limit + 1
    try:
        while left > 0 and (part := os.read(fd, min(left, _CHUNK))):
            parts.append(part)
            left -= len(part)
    except OSError:
        return None
    finally:
        os.close(fd)
    return b"".join(parts) if left > 0 else None


def _open_beneath(root: Path, relative: str, flags: int) -> int:
    base = os.open(root, _DIRECTORY)
    try:
        fd = _openat2(base, relative, flags)
        return fd if fd is not None else _open_step_by_step(base, relative, flags)
    finally:
        os.close(base)


def _openat2(base: int, relative: str, flags: int) -> int | None:
    """A descriptor, or None where the system call does not exist or is forbidden."""
    path = os.fsencode(relative)
    if b"\0" in path:
        raise ValueError("embedded null byte")
    how = _OpenHow(flags, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    fd = int(
        _libc.syscall(
            ctypes.c_long(_SYS_OPENAT2),
            ctypes.c_int(base),
            ctypes.c_char_p(path),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
    )
    if fd >= 0:
        return fd
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EPERM, errno.EINVAL):
        return None
    raise OSError(code, os.strerror(code))


def _open_step_by_step(base: int, relative: str, flags: int) -> int:
    """Follow no link at all: one openat with O_NOFOLLOW per path component."""
    *parents, last = [part for part in relative.split("/") if part] or [""]
    if ".." in parents or last in ("", ".."):
        raise ValueError("not a plain path")
    here = os.dup(base)
    try:
        for part in parents:
            below = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        return os.open(last, flags | os.O_NOFOLLOW, dir_fd=here)
    finally:
        os.close(here)
