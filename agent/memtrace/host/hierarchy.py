"""Where the memory controller is mounted, and which cgroups exist there. Reads no figures."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from memtrace.host.files import names_beneath, read_bytes
from memtrace.host.mounts import Mount, read_mounts

_MAX_CGROUPS = 65_536  # MEM_CGROUP_ID_MAX: the kernel has no more memory cgroups than this
_MAX_PAGE_SIZES = 16
_HUGEPAGES = re.compile(r"hugepages-([0-9]{1,9})kB")
_ROOT_ID = 1  # kernfs gives the root directory of every hierarchy inode 1


class HostError(Exception):
    """One sentence for the user: what the host lacks and what to do next."""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The memory hierarchy. `mode` is v1, v2 or hybrid (memory on v1, a cgroup2 beside it).

    `hierarchy_id` is what cgroup events carry: column 2 of /proc/cgroups on v1, 0 on v2.
    `hugetlb` are the counters of huge pages, (mount, file name) for each size; on v1 they
    are in another hierarchy, where container runtimes use the same paths.
    """

    mode: str
    mount: Path
    hierarchy_id: int
    version: int
    hugetlb: tuple[tuple[Path, str], ...] = ()


class CgroupEntry(NamedTuple):
    """One directory of the hierarchy; `id` is its inode, which is the kernel's cgroup id."""

    id: int
    parent_id: int | None
    path: str


def find_hierarchy(root: Path = Path("/")) -> Hierarchy:
    """The memory hierarchy under `root`; HostError when there is none."""
    mounts = _all_mounts(root)
    v1 = _v1_mounts(mounts, "memory")
    v2 = [m for m in mounts if m.fstype == "cgroup2"]
    if (mount := _reachable(root, v1)) is not None:
        mode = "hybrid" if v2 else "v1"
        huge = _hugetlb(root, _v1_mounts(mounts, "hugetlb"), v2)
        return Hierarchy(mode, mount, _hierarchy_id(root), 1, huge)
    mount = _reachable(root, v2)
    if mount is None:
        raise HostError(f"No cgroup file system is mounted under {root}; mount /sys/fs/cgroup.")
    if not _lists_memory(mount / "cgroup.controllers"):
        raise HostError("The kernel has no memory controller; boot without cgroup_disable=memory.")
    return Hierarchy("v2", mount, 0, 2, _hugetlb(root, [], v2))


def find_controller(root: Path, controller: str) -> tuple[Path, int] | None:
    """Where another controller is mounted, and which version of cgroups that is; None: nowhere.

    Container runtimes use the same paths in all hierarchies.
    """
    mounts = _all_mounts(root)
    if (mount := _reachable(root, _v1_mounts(mounts, controller))) is not None:
        return mount, 1
    mount = _reachable(root, [m for m in mounts if m.fstype == "cgroup2"])
    if mount is None or not _lists(mount / "cgroup.controllers", controller.encode()):
        return None
    return mount, 2


def walk(hierarchy: Hierarchy) -> Iterator[CgroupEntry]:
    """Every memory cgroup, parents before children, siblings by name; vanished ones skipped.

    A leaf costs one stat: kernfs counts subdirectories in st_nlink, so a count of 2
    needs no listing.
    """
    top = _stat_directory(str(hierarchy.mount))
    if top is None:
        return
    pending = [(CgroupEntry(top.st_ino, None, "/"), top.st_nlink)]
    for _ in range(_MAX_CGROUPS):
        if not pending:
            return
        entry, links = pending.pop()
        yield entry
        if links != 2:
            pending.extend(reversed(_children(hierarchy, entry)))


def _children(hierarchy: Hierarchy, parent: CgroupEntry) -> list[tuple[CgroupEntry, int]]:
    directory = f"{hierarchy.mount}{parent.path}"
    if hierarchy.version == 2 and not _lists_memory(f"{directory}/cgroup.subtree_control"):
        return []  # children are no memory cgroups; their pages are charged to this one
    prefix = parent.path.rstrip("/")
    found = []
    for item in _subdirectories(directory):
        try:
            status = item.stat(follow_symlinks=False)
        except OSError:
            continue
        entry = CgroupEntry(status.st_ino, parent.id, f"{prefix}/{item.name}")
        found.append((entry, status.st_nlink))
    return found


def _subdirectories(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as items:
            found = [item for item in items if item.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(found, key=lambda item: item.name)


def _stat_directory(path: str) -> os.stat_result | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status if stat.S_ISDIR(status.st_mode) else None


def _all_mounts(root: Path) -> list[Mount]:
    """Mounts of this process first: PID 1 may see a hierarchy that cannot be reached here."""
    own = read_mounts(root / "proc/self/mountinfo") or ()
    init = read_mounts(root / "proc/1/mountinfo") or () if root != Path("/") else ()
    return [*own, *init]


def _v1_mounts(mounts: list[Mount], controller: str) -> list[Mount]:
    return [m for m in mounts if m.fstype == "cgroup" and controller in m.super_options.split(",")]


def _reachable(root: Path, mounts: list[Mount]) -> Path | None:
    """The mount showing the whole hierarchy if there is one, else the first that exists.

    A container usually also sees its own, private part of the hierarchy; only the
    real root has inode 1.
    """
    found = []
    for path in (path for mount in mounts for path in _candidates(root, mount.point)):
        status = _stat_directory(str(path))
        if status is not None and status.st_ino == _ROOT_ID:
            return path
        if status is not None:
            found.append(path)
    return found[0] if found else None


def _candidates(root: Path, point: str) -> list[Path]:
    """Mount points are seen from the host, or, in a container, with `root` in front already."""
    paths = [root / point.lstrip("/")]
    if Path(point).is_relative_to(root):
        paths.append(Path(point))
    return paths


def _hugetlb(root: Path, v1: list[Mount], v2: list[Mount]) -> tuple[tuple[Path, str], ...]:
    """The files that count huge pages: of the v1 controller if it is mounted, else of v2's."""
    if (mount := _reachable(root, v1)) is not None:
        return tuple((mount, f"hugetlb.{size}.usage_in_bytes") for size in _page_sizes(root))
    mount = _reachable(root, v2)
    if mount is None or not _lists(mount / "cgroup.controllers", b"hugetlb"):
        return ()
    return tuple((mount, f"hugetlb.{size}.current") for size in _page_sizes(root))


def _page_sizes(root: Path) -> list[str]:
    """As the kernel's mem_fmt() writes them into file names: 2MB, 1GB."""
    sizes = []
    for name in names_beneath(root, "sys/kernel/mm/hugepages", _MAX_PAGE_SIZES):
        found = _HUGEPAGES.fullmatch(name)
        if found is not None:
            kib = int(found[1])
            shift = 20 if kib >= 1 << 20 else 10 if kib >= 1 << 10 else 0
            sizes.append(f"{kib >> shift}{'KMG'[shift // 10]}B")
    return sizes


def _hierarchy_id(root: Path) -> int:
    data = read_bytes(root / "proc/cgroups", 65_536) or b""
    for line in data.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == b"memory" and words[1].isdigit() and len(words[1]) < 10:
            return int(words[1])
    raise HostError("/proc/cgroups does not list the memory controller; cannot follow cgroups.")


def _lists_memory(path: Path | str) -> bool:
    return _lists(path, b"memory")


def _lists(path: Path | str, controller: bytes) -> bool:
    return controller in (read_bytes(path, 4096) or b"").split()
