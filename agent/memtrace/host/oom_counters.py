"""How often the kernel's OOM killer struck: per cgroup and on the whole machine. Local counts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from memtrace.host.files import read_bytes
from memtrace.host.hierarchy import Hierarchy, walk

_BYTES = 4096
_VMSTAT_BYTES = 65_536
_COUNT = re.compile(rb"^oom_kill ([0-9]{1,18})$", re.MULTILINE)
# Since Linux b6bf9abb0aa4 ("mm/memcg: add oom_group_kill memory event") (in v5.17).
_GROUPS = re.compile(rb"^oom_group_kill ([0-9]{1,18})$", re.MULTILINE)


class KillCount(NamedTuple):
    """Processes of one cgroup (not of those below it) that were killed, since it was made.

    With memory.oom.group the kernel counts the first process of each group twice in `kills`;
    `groups`: how often that was, None: the kernel does not say.
    """

    path: str
    kills: int
    groups: int | None = None


def kill_counts(hierarchy: Hierarchy) -> dict[int, KillCount]:
    """By cgroup id, those above 0. Kernels before 5.2 do not count locally on v2: none there."""
    name = "memory.oom_control" if hierarchy.version == 1 else "memory.events.local"
    found = {}
    for entry in walk(hierarchy):
        data = read_bytes(Path(f"{hierarchy.mount}{entry.path}") / name, _BYTES) or b""
        if kills := _number(_COUNT, data):
            found[entry.id] = KillCount(entry.path, kills, _number(_GROUPS, data))
    return found


def machine_kills(root: Path = Path("/")) -> int | None:
    """All kills since boot, of cgroups that are gone, too; None: the kernel does not say."""
    return _number(_COUNT, read_bytes(root / "proc/vmstat", _VMSTAT_BYTES) or b"")


def _number(line: re.Pattern[bytes], data: bytes) -> int | None:
    found = line.search(data)
    return None if found is None else int(found[1])
