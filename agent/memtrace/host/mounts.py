"""Mounted file systems, and the host path of a file known by device and path within it.

Reads /proc/*/mountinfo and /sys/dev/block. Does not know overlays (overlay.py) or
containers (container_mounts.py).

Devices are superblocks' (s_dev), as in mountinfo: stat() shows another one for each
subvolume of btrfs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from memtrace.host.files import read_bytes

_LIMIT = 16 << 20  # bytes of mountinfo; a node with 10,000 mounts needs about 3 MB
_ESCAPE = re.compile(rb"\\([0-3][0-7]{2})")
_DEVICE = re.compile(rb"([0-9]{1,9}):([0-9]{1,9})")
_REMOTE = (
    "fuse",
    "autofs",
    "nfs",
    "cifs",
    "smb",
    "9p",
    "virtiofs",
    "ceph",
    "afs",
    "gluster",
    "lustre",
    "gpfs",
)
_MINOR_BITS = 20  # dev_t inside the kernel: major << 20 | minor


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo (proc(5)); `root` is the part of the file system shown at `point`.

    `super_options` are as written there: a comma inside a value is still an octal escape.
    """

    id: int
    parent: int
    major: int
    minor: int
    root: str
    point: str
    fstype: str
    source: str
    options: str
    super_options: str

    @property
    def remote(self) -> bool:
        """Whether a look-up may wait for a server, or for whoever answers instead."""
        return self.fstype.startswith(_REMOTE)

    @property
    def device(self) -> int:
        """The kernel's s_dev: major << 20 | minor."""
        return self.major << _MINOR_BITS | self.minor


def parse_mountinfo(data: bytes) -> tuple[Mount, ...]:
    """The mounts in the order of the file; lines that make no sense are skipped."""
    return tuple(mounts_in(data))


def mounts_in(data: bytes) -> Iterator[Mount]:
    """The same, one after the other."""
    parsed = (_parse_line(line) for line in data.split(b"\n"))
    return (mount for mount in parsed if mount is not None)


def read_mounts(path: Path) -> tuple[Mount, ...] | None:
    """The mounts listed in one mountinfo file, or None when it cannot be read."""
    data = read_bytes(path, _LIMIT)
    return None if data is None else parse_mountinfo(data)


_NO_MOUNT = (-1, -1, "")


class MountIndex:
    """Where the files of some mounts are seen, and what is seen at a path."""

    def __init__(self, mounts: Iterable[Mount] = ()) -> None:
        self._by_root: dict[tuple[int, str], list[tuple[int, str]]] = {}
        self._by_point: dict[str, tuple[int, int, str]] = {}
        for order, mount in enumerate(mounts):
            device, root, point = mount.device, mount.root, mount.point
            self._by_root.setdefault((device, root), []).append((order, point))
            self._by_point[point] = (order, device, root)

    def path(self, device: int, path: str) -> str | None:
        """Where the file at `path` of the device's file system is seen; None: nowhere.

        Of several answers a visible one wins (not covered by a later mount), then the
        shortest, then the oldest mount: bind mounts made for volumes lose against the
        place the file was put in.
        """
        answers = []
        for top in upwards(path):
            for order, point in self._by_root.get((device, top), ()):
                found = moved(path, top, point)
                answers.append((self._covering(found)[0] != order, len(found), order, found))
        return min(answers)[3] if answers else None

    def locate(self, path: str) -> tuple[int, str] | None:
        """The device of what is seen at `path`, and the path within it."""
        for point in upwards(path):
            if point in self._by_point:
                _, device, root = self._by_point[point]
                return device, moved(path, point, root)
        return None

    def points(self, device: int) -> list[str]:
        """Where the whole of a file system is mounted."""
        return [point for _, point in self._by_root.get((device, "/"), ())]

    def _covering(self, path: str) -> tuple[int, int, str]:
        """The mount that is seen at `path`: the deepest point, and of those the latest."""
        points = (self._by_point.get(point) for point in upwards(path))
        return next((mount for mount in points if mount is not None), _NO_MOUNT)


class MountTable:
    """The mounts of PID 1, else of this process. Re-read only when the caller says so."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._files = (root / "proc/1/mountinfo", root / "proc/self/mountinfo")
        self._seen: int | None = None
        self._mounts: tuple[Mount, ...] = ()
        self._index = MountIndex()
        self._remote: frozenset[int] = frozenset()

    def refresh(self) -> bool:
        """Read mountinfo again; True when it changed. An unreadable file changes nothing."""
        reads = (read_bytes(path, _LIMIT) for path in self._files)
        data = next((read for read in reads if read), None)
        if data is None or hash(data) == self._seen:
            return False
        self._seen = hash(data)
        self._mounts = parse_mountinfo(data)
        self._index = MountIndex(self._mounts)
        remote = (mount.device for mount in self._mounts if mount.remote)
        self._remote = frozenset(remote)
        return True

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """Every mount, oldest first."""
        return self._mounts

    @property
    def index(self) -> MountIndex:
        """The same mounts, to look things up in."""
        return self._index

    def may_hang(self, path: str) -> bool:
        """Whether looking at `path` may wait for a server, or for whoever answers instead."""
        place = self._index.locate(path)
        return place is not None and place[0] in self._remote

    def host_path(self, device: int, path: str) -> str | None:
        """The host path of `path`, which starts at the root of the device's file system."""
        return self._index.path(device, path)


def may_block(mounts: Iterable[Mount], path: str) -> bool:
    """Whether looking up `path` leads through a remote file system."""
    waiting = (mount.point for mount in mounts if mount.remote)
    return any(f"{path}/".startswith(f"{point.rstrip('/')}/") for point in waiting)


def block_device_name(root: Path, device: int) -> str | None:
    """The node of a block device, e.g. /dev/vda1, from /sys/dev/block; None when unknown."""
    link = root / f"sys/dev/block/{device >> _MINOR_BITS}:{device & (1 << _MINOR_BITS) - 1}"
    try:
        name = os.path.basename(os.readlink(link))
    except (OSError, ValueError):
        return None
    return "/dev/" + name.replace("!", "/") if name not in ("", ".", "..") else None


def _parse_line(line: bytes) -> Mount | None:
    left, separator, right = line.partition(b" - ")
    before, after = left.split(b" "), right.split(b" ")
    if not separator or len(before) < 6 or len(after) < 3:
        return None
    device = _DEVICE.fullmatch(before[2])
    ids = before[0], before[1]
    if device is None or not all(word.isdigit() and len(word) < 20 for word in ids):
        return None
    root, point, options, fstype, source = map(unescaped, (*before[3:6], *after[:2]))
    return Mount(
        int(ids[0]),
        int(ids[1]),
        int(device[1]),
        int(device[2]),
        root,
        point,
        fstype,
        source,
        options,
        after[2].decode("utf-8", "surrogateescape"),
    )


def unescaped(word: bytes) -> str:
    """Octal escapes undone; undecodable bytes become surrogates, as in every path here."""
    plain = _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), word)
    return plain.decode("utf-8", "surrogateescape")


def upwards(path: str) -> Iterator[str]:
    """The path and everything above it, "/" last. Nothing for a path that is not absolute."""
    if not path.startswith("/"):
        return
    while path := path.rstrip("/"):
        yield path
        path = path.rpartition("/")[0]
    yield "/"


def moved(path: str, top: str, point: str) -> str:
    """`path` with its beginning `top` replaced by `point`."""
    return point.rstrip("/") + path[len(top.rstrip("/")) :].rstrip("/") or "/"
