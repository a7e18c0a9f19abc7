"""What a container calls its files: its own mountinfo, and the layers of its overlays.

Reads /proc/PID/mountinfo of a process of the cgroup. Has no clock and remembers no
container: the caller decides when to look again. A process that has the host's root
directory is in no container; its files have their host paths and no other ones.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

from memtrace.host.files import read_bytes
from memtrace.host.hierarchy import Hierarchy
from memtrace.host.mounts import Mount, MountIndex, MountTable, mounts_in
from memtrace.host.overlay import LayerFinder, Place
from memtrace.host.procfs import pids_in

_LIMIT = 1 << 20  # bytes of mountinfo; a pod with 40 volumes and 60 layers has 20,000
_MAX_MOUNTS = 2048
_MAX_OVERLAYS = 8
_MAX_PIDS = 4
_MAX_BELOW = 32  # cgroups inside a container that are searched for a process
_WITHOUT_FILES = frozenset(
    {"bpf", "cgroup", "cgroup2", "debugfs", "devpts", "mqueue", "proc", "sysfs", "tracefs"}
)
"""File systems that have no pages in the page cache: what they cover was never read."""


class ContainerView:
    """The names of files inside one container. `source` tells one reading from another.

    `overlays`: their devices and layers, whose paths end with a slash.
    """

    __slots__ = ("_index", "_overlays", "source")

    def __init__(
        self, index: MountIndex, overlays: tuple[tuple[int, tuple[Place, ...]], ...], source: int
    ) -> None:
        self._index = index
        self._overlays = overlays
        self.source = source

    def path(self, device: int, path: str) -> str | None:
        """What the container calls the file at `path` of the device's file system, or None.

        The way through an overlay comes first: that is the image, also where the host's
        disk is mounted as a volume besides.
        """
        for overlay, layers in self._overlays:
            for at, top in layers:
                if at == device and path.startswith(top):
                    found = self._index.path(overlay, path[len(top) - 1 :])
                    if found is not None:
                        return found
        return self._index.path(device, path)


class ContainerMounts:
    """Reads the view of any cgroup's processes. `host` is the host's own mount table."""

    def __init__(self, root: Path, hierarchy: Hierarchy, host: MountTable) -> None:
        self._proc = root / "proc"
        self._hierarchy = hierarchy
        self._host = host
        self._finder = LayerFinder(root, host)

    def read(self, cgroup_id: int, path: str, below: bool = False) -> ContainerView | None:
        """The view of a process in this very cgroup; None: none runs there, or in no container.

        `below`: else of one in a cgroup inside it.
        """
        directory = f"{self._hierarchy.mount}{path}"
        try:
            if os.stat(directory).st_ino != cgroup_id:  # another one took the path
                return None
        except (OSError, ValueError):
            return None
        view = self._of_cgroup(path)
        if view is None and below:
            views = map(self._of_cgroup, islice(self._inside(directory), _MAX_BELOW))
            view = next((found for found in views if found is not None), None)
        return view

    def _inside(self, directory: str) -> list[str]:
        """The cgroups directly inside another, and inside those."""
        found: list[str] = []
        for here, names, _ in os.walk(directory):
            depth = here.count("/") - directory.count("/")
            found += [f"{here}/{name}".removeprefix(str(self._hierarchy.mount)) for name in names]
            if depth or len(found) > _MAX_BELOW:
                names.clear()
        return found

    def _of_cgroup(self, path: str) -> ContainerView | None:
        for pid in pids_in(self._hierarchy, path)[:_MAX_PIDS]:
            data = self._mountinfo(pid)
            if data and pid in pids_in(self._hierarchy, path):  # and so it still was that process
                view = self._view(data)
                if view is not None:
                    return view
        return None

    def _mountinfo(self, pid: int) -> bytes | None:
        """What a process sees, unless it sees what the host sees."""
        own = _namespace(self._proc / str(pid))
        if own is not None and own == _namespace(self._proc / "1"):
            return None
        return read_bytes(self._proc / str(pid) / "mountinfo", _LIMIT)

    def _view(self, data: bytes) -> ContainerView | None:
        """None for the host's root, which a container has, too, while it is being made."""
        useful = (mount for mount in mounts_in(data) if mount.fstype not in _WITHOUT_FILES)
        mounts = tuple(islice(map(_shared, useful), _MAX_MOUNTS + 1))
        index = MountIndex(mounts)
        root = index.locate("/")
        if root is None or root == self._host.index.locate("/") or len(mounts) > _MAX_MOUNTS:
            return None
        overlays = {mount.device: mount for mount in reversed(mounts) if mount.fstype == "overlay"}
        first = sorted(overlays, key=lambda device: device != root[0])[:_MAX_OVERLAYS]
        found = tuple((device, self._finder.places(overlays[device])) for device in first)
        return ContainerView(index, found, hash(data))


def _shared(mount: Mount) -> Mount:
    """Containers have the same few mount points."""
    return replace(mount, root=sys.intern(mount.root), point=sys.intern(mount.point))


def _namespace(process: Path) -> int | None:
    try:
        return os.stat(process / "ns/mnt").st_ino
    except OSError:
        return None
