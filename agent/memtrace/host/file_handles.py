"""From a file's inode number and generation to its path of now, through open_by_handle_at(2).

About 20 us a file, and nothing happens to it: O_PATH opens no file, and of a cached one
nothing is read from disk. For ext2, ext3, ext4 and xfs: btrfs puts more into a handle, tmpfs
finds only files of which somebody asked for a handle before. Needs CAP_DAC_READ_SEARCH and
Linux 5.6; where anything is not as expected there is no answer.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from memtrace.host.mounts import Mount, MountTable, may_block

_KINDS = ("ext2", "ext3", "ext4", "xfs")
_CONTENTS = {1: Struct("<II"), 0x81: Struct("<QI")}
"""By type (FILEID_INO32_GEN; with 64-bit inode numbers): inode and generation."""
_MAX_BYTES = 128  # MAX_HANDLE_SZ
_MAX_POINTS = 4
_AT_EMPTY_PATH = 0x1000
_OPENAT2 = 437  # on every architecture
_IN_THIS_MOUNT = 0x01 | 0x02 | 0x04 | 0x08
"""RESOLVE_NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH: no look-up can be made to wait."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_PATH | os.O_CLOEXEC
_DELETED = b" (deleted)"

_libc = ctypes.CDLL(None, use_errno=True)


class _FileHandle(ctypes.Structure):
    _fields_ = (
        ("bytes", ctypes.c_uint32),
        ("type", ctypes.c_int32),
        ("contents", ctypes.c_char * _MAX_BYTES),
    )


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class Found(NamedTuple):
    """A file as of now.

    `path` starts at the root of the file system; None: the kernel has no name for it in
    memory, or one that was removed. `links` None: there is no such file any more, or it
    cannot be read.
    """

    path: bytes | None
    links: int | None


class OpenMount:
    """A mounted file system, held for a moment only: it cannot be unmounted meanwhile."""

    def __init__(self, fd: int, kind: int) -> None:
        self._fd = fd
        self._kind = kind
        self._contents = _CONTENTS[kind]
        self._device = os.fstat(fd).st_dev
        self._point = _text(fd).rstrip(b"/")

    def find(self, inode: int, generation: int) -> Found | None:
        """None: cannot say, as for a path of more than 4,095 bytes, or below another mount."""
        try:
            fd = self.open(inode, generation)
        except OSError as error:
            return Found(None, None) if error.errno == errno.ESTALE else None
        try:
            return self._found(fd, inode)
        except OSError:
            return None
        finally:
            os.close(fd)

    def open(self, inode: int, generation: int) -> int:
        """A descriptor that stands for the file. Raises OSError: ESTALE when there is none."""
        if inode >> (32 if self._kind == 1 else 64):
            raise OSError(errno.EOVERFLOW, "no 32-bit inode number")
        handle = _FileHandle(self._contents.size, self._kind)
        packed = self._contents.pack(inode, generation)
        ctypes.memmove(ctypes.addressof(handle) + _FileHandle.contents.offset, packed, len(packed))
        return _checked(_libc.open_by_handle_at(self._fd, ctypes.byref(handle), _LOOK))

    def _found(self, fd: int, inode: int) -> Found | None:
        status = os.fstat(fd)
        if status.st_ino != inode or status.st_dev != self._device:
            return None
        text = _text(fd)
        path = text[len(self._point) :]
        if not text.startswith(self._point + b"/") or path == b"/":
            return Found(None, status.st_nlink)  # not connected to the root directory
        if status.st_nlink == 0:
            return Found(path.removesuffix(_DELETED) if path.endswith(_DELETED) else None, 0)
        return Found(path if self._leads_to(path, status) else None, status.st_nlink)

    def _leads_to(self, path: bytes, status: os.stat_result) -> bool:
        """Whether the file is found at `path`: text alone may be of a name since removed."""
        how = _OpenHow(_LOOK | os.O_NOFOLLOW, 0, _IN_THIS_MOUNT)
        relative = ctypes.c_char_p(path.lstrip(b"/"))
        size = ctypes.c_size_t(ctypes.sizeof(how))
        try:
            fd = _checked(_libc.syscall(_OPENAT2, self._fd, relative, ctypes.byref(how), size))
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            return os.path.samestat(os.fstat(fd), status)
        finally:
            os.close(fd)


class FileHandles:
    """The file systems of which files can be found. `mounts` are those of PID 1."""

    def __init__(self, root: Path, mounts: MountTable) -> None:
        init = root / "proc/1/root"
        self._root = init if os.path.isdir(init) else root
        self._table = mounts
        self._seen: tuple[Mount, ...] | None = None
        self._mounts: dict[int, list[Mount]] = {}

    def knows(self, device: int) -> bool:
        """Whether files of a device (major << 20 | minor) can be found, as far as one can tell."""
        return device in self._of_devices()

    @contextmanager
    def opened(self, device: int) -> Iterator[OpenMount | None]:
        """The device's file system; None where handles do not work."""
        for mount in self._of_devices().get(device, ())[:_MAX_POINTS]:
            try:
                fd = os.open(f"{self._root}{mount.point}", _DIRECTORY)
            except (OSError, ValueError):
                continue
            try:
                found = _proven(fd, mount)
                if found is not None:
                    yield found
                    return
            finally:
                os.close(fd)
        yield None

    def _of_devices(self) -> dict[int, list[Mount]]:
        """Mounts that show the whole of a file system of the right kind."""
        if self._seen is not self._table.mounts:
            self._seen = self._table.mounts
            remote = [mount for mount in self._seen if mount.remote]
            self._mounts = {}
            for mount in self._seen:
                whole = mount.root == "/" and mount.fstype in _KINDS
                if whole and not may_block(remote, mount.point):
                    self._mounts.setdefault(mount.device, []).append(mount)
        return self._mounts


def _proven(fd: int, mount: Mount) -> OpenMount | None:
    """`fd` as this mount's root, if it is that and handles are made here as they are known to be.

    The kernel makes one of the root directory: it must have the known form, and the same
    made here must lead to the root directory again.
    """
    handle, number = _FileHandle(_MAX_BYTES), ctypes.c_int()
    what = ctypes.byref(handle), ctypes.byref(number)
    try:
        _checked(_libc.name_to_handle_at(fd, b"", *what, _AT_EMPTY_PATH))
        status = os.fstat(fd)
        device = os.makedev(mount.major, mount.minor)
        contents = _CONTENTS.get(handle.type)
        if (number.value, status.st_dev, _text(fd)) != (mount.id, device, os.fsencode(mount.point)):
            return None
        if contents is None or handle.bytes != contents.size:
            return None
        inode, generation = contents.unpack(bytes(handle)[8 : 8 + contents.size])
        made = OpenMount(fd, handle.type)
        again = made.open(inode, generation)
    except OSError:
        return None
    try:
        return made if os.path.samestat(os.fstat(again), status) else None
    finally:
        os.close(again)


def _text(fd: int) -> bytes:
    return os.readlink(b"/proc/self/fd/%d" % fd)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
