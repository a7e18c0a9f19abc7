"""Small facts about processes and the boot, from /proc and cgroup.procs. Bounded reads only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from memtrace.host.files import read_bytes, read_start
from memtrace.host.hierarchy import Hierarchy

_SMALL = 4096
_CGROUP_LIMIT = 65_536
_ALL_MAPS_LIMIT = 1 << 19
_EXECUTABLE = re.compile(
    rb"([0-9a-f]{1,16})-([0-9a-f]{1,16}) ..x. ([0-9a-f]{1,16}) \S+ [1-9][0-9]* "
)
_HEX = re.compile(rb"[0-9a-f]{1,16}")
_PROCS_LIMIT = 4 << 20  # bytes: about 500,000 pids
_MAX_PID = 1 << 22  # PID_MAX_LIMIT
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_START_SHIFT = 20  # wire.h: start is start_boottime >> 20, in 32 bits
_START_MASK = 0xFFFF_FFFF
_DELETED = " (deleted)"
_FLAGS = 6  # field 9 of proc_pid_stat(5), counted from behind the command
_TEXT = 23  # field 26
_KERNEL_THREAD = 0x0020_0000  # PF_KTHREAD of include/linux/sched.h, the same since Linux 2.6.27


def node_name() -> str:
    """What this machine is called: MEMTRACE_NODE, or its host name.

    A pod has a host name of its own, and a cluster may call the machine otherwise.
    """
    return os.environ.get("MEMTRACE_NODE") or os.uname().nodename


def read_comm(root: Path, pid: int) -> str | None:
    """The name of a thread group (at most 15 bytes, kernel threads 63), None when gone."""
    data = read_bytes(root / f"proc/{pid}/comm", _SMALL)
    if data is None:
        return None
    return data.removesuffix(b"\n").decode("utf-8", "surrogateescape")


def memory_cgroup(root: Path, hierarchy: Hierarchy, pid: int, base: str = "/") -> str | None:
    """The path of a process' cgroup in the memory hierarchy; None when gone or not in view.

    /proc shows paths from the root of the reader's cgroup namespace, which lies at `base`
    of the hierarchy; cgroups beside it appear as /../name.
    """
    return placed(hierarchy, base, cgroup_lines(root, pid))


def cgroup_lines(root: Path, pid: int) -> bytes | None:
    """What /proc/PID/cgroup says, for `placed`; None when the process is gone."""
    return read_bytes(f"{root}/proc/{pid}/cgroup", _CGROUP_LIMIT)


def placed(hierarchy: Hierarchy, base: str, lines: bytes | None) -> str | None:
    """As `memory_cgroup`, of what `cgroup_lines` told."""
    return placed_of(b"memory", hierarchy.version, base, lines)


def placed_of(controller: bytes, version: int, base: str, lines: bytes | None) -> str | None:
    """As `placed`, in the hierarchy of any controller: on v1 each may have another path."""
    shown = None if lines is None else parse_cgroup(lines, version, controller)
    if shown is None or shown.endswith(_DELETED):
        return None
    return _absolute(base, shown)


def cgroup_shown(root: Path, pid: int) -> str | None:
    """A process' memory cgroup as /proc shows it, whatever version has the memory controller."""
    data = cgroup_lines(root, pid)
    return None if data is None else parse_cgroup(data, 1) or parse_cgroup(data, 2) or "/"


def namespace_base(root: Path, hierarchy: Hierarchy, paths: Iterable[str]) -> str | None:
    """Where the root of this process' cgroup namespace lies in the hierarchy: "/" outside of one.

    An agent in a container of its own finds itself among `paths` (all cgroups) by its pid,
    once at start. None when it is in none of them.
    """
    data = read_bytes(root / "proc/self/cgroup", _CGROUP_LIMIT)
    shown = None if data is None else parse_cgroup(data, hierarchy.version)
    if shown is None:
        return None
    for path in (shown, *paths):
        if ".." not in path.split("/") and os.getpid() in pids_in(hierarchy, path):
            return path.removesuffix(shown.rstrip("/")) or "/"
    return None


def parse_cgroup(data: bytes, version: int, controller: bytes = b"memory") -> str | None:
    """One hierarchy's line of /proc/PID/cgroup (cgroups(7)), as written there."""
    for line in data.split(b"\n"):
        number, _, rest = line.partition(b":")
        controllers, colon, path = rest.partition(b":")
        unified = number == b"0" and not controllers
        wanted = unified if version == 2 else controller in controllers.split(b",")
        if wanted and colon and path.startswith(b"/"):
            return path.decode("utf-8", "surrogateescape")
    return None


def is_kernel_thread(root: Path, pid: int) -> bool:
    """Whether it is one of the kernel's own threads: they have no program (PF_KTHREAD)."""
    data = read_bytes(root / f"proc/{pid}/stat", _SMALL) or b""
    words = data.rpartition(b")")[2].split()
    flags = words[_FLAGS] if len(words) > _FLAGS else b""
    return flags.isdigit() and len(flags) <= 10 and bool(int(flags) & _KERNEL_THREAD)


def start_ticks(root: Path, pid: int) -> int | None:
    """When the process started: clock ticks (1/100 s) since boot, field 22 of proc_pid_stat(5)."""
    data = read_bytes(root / f"proc/{pid}/stat", _SMALL)
    return None if data is None else parse_start_ticks(data)


def parse_start_ticks(data: bytes) -> int | None:
    """Field 22; the command in field 2 may hold blanks and brackets, so count from its end."""
    words = data.rpartition(b")")[2].split()
    if len(words) < 20 or not words[19].isdigit() or len(words[19]) > 20:
        return None
    return int(words[19])


def same_start(ticks: int, start: int) -> bool:
    """Whether ticks and the BPF side's start (start_boottime >> 20, 32 bits) can be one moment.

    Both are rounded down, to 10 ms and 1.05 ms; the second wraps every 52 days.
    """
    first = ticks * _TICK_NS >> _START_SHIFT
    last = ((ticks + 1) * _TICK_NS - 1) >> _START_SHIFT
    return (start - first) & _START_MASK <= last - first


def runs_from(root: Path, pid: int, start: int, text: int) -> bool:
    """Whether a process is the one the BPF side saw, with its code still where it was.

    `start`: as `same_start` has it, `text`: mm.start_code, field 26 of proc_pid_stat(5); 0 and 1
    stand there for who may not know it, and are taken for any.
    """
    data = read_bytes(root / f"proc/{pid}/stat", _SMALL) or b""
    words = data.rpartition(b")")[2].split()
    ticks = parse_start_ticks(data)
    if ticks is None or len(words) <= _TEXT or not same_start(ticks, start):
        return False
    return words[_TEXT] in (b"0", b"1", b"%d" % text)


def pids_in(hierarchy: Hierarchy, path: str) -> tuple[int, ...]:
    """The thread groups directly in a cgroup; empty when it is gone or threaded."""
    data = read_bytes(f"{hierarchy.mount}{path}/cgroup.procs", _PROCS_LIMIT) or b""
    words = (word for word in data.split() if word.isdigit() and len(word) < 10)
    return tuple(pid for word in words if 0 < (pid := int(word)) <= _MAX_PID)


def all_pids(root: Path) -> set[int]:
    """Every thread group there is now; empty where /proc cannot be listed."""
    try:
        names = os.listdir(root / "proc")
    except OSError:
        return set()
    return {int(name) for name in names if name.isascii() and name.isdigit() and len(name) < 8}


def newest_pid(root: Path) -> bytes | None:
    """The id that was given away last, to a process or thread (proc_loadavg(5)); None: unknown."""
    words = (read_bytes(root / "proc/loadavg", _SMALL) or b"").split()
    return words[-1] if len(words) == 5 else None


def lowest_mapping(root: Path, pid: int, inode: int) -> int | None:
    """Where a process' program, whose file has this inode, begins in its memory; None: unknown.

    Of /proc/PID/maps the first 512 KiB are read: a program is among what is mapped lowest. Kernels
    before 6.8 show the inode below an overlay there, so the path will do, too.
    """
    try:
        program = os.readlink(os.fsencode(root / f"proc/{pid}/exe"))
    except (OSError, ValueError):
        return None
    for line in (read_start(root / f"proc/{pid}/maps", _ALL_MAPS_LIMIT) or b"").splitlines():
        words = line.split(maxsplit=5)
        if len(words) == 6 and (words[4] == b"%d" % inode or words[5] == program):
            start = words[0].partition(b"-")[0]
            return int(start, 16) if _HEX.fullmatch(start) else None
    return None


class Mapping(NamedTuple):
    """Part of a file in a process' memory: addresses, and where in the file it begins."""

    start: int
    end: int
    offset: int


def executable_mappings(root: Path, pid: int) -> tuple[Mapping, ...]:
    """What of files a process may execute, lowest first; empty when it is gone.

    Of very long /proc/PID/maps only the first 512 KiB are read (proc_pid_maps(5)).
    """
    data = read_start(root / f"proc/{pid}/maps", _ALL_MAPS_LIMIT) or b""
    found = (_EXECUTABLE.match(line) for line in data.splitlines())
    return tuple(Mapping(*(int(part, 16) for part in each.groups())) for each in found if each)


def exists(root: Path, pid: int) -> bool:
    """Whether a process with this id exists now."""
    return 0 < pid <= _MAX_PID and os.path.isdir(root / f"proc/{pid}")


def boot_id(root: Path) -> str | None:
    """The random id of this boot; cgroup ids and start times mean nothing in another one."""
    data = read_bytes(root / "proc/sys/kernel/random/boot_id", _SMALL)
    text = (data or b"").decode("ascii", "replace").strip()
    return text if len(text) == 36 and text.replace("-", "").isalnum() else None


def _absolute(base: str, shown: str) -> str | None:
    parts: list[str] = []
    for part in f"{base}/{shown}".split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
