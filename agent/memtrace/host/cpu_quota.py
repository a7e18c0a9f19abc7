"""How much CPU time a process may use: its cgroup's quota or an ancestor's smaller one.

cpu.cfs_quota_us and cpu.cfs_period_us of cgroup v1, cpu.max of v2 (the kernel's
Documentation/scheduler/sched-bwc.rst and admin-guide/cgroup-v2.rst).
"""

from __future__ import annotations

from pathlib import Path

from memtrace.host.files import read_bytes
from memtrace.host.hierarchy import find_controller
from memtrace.host.procfs import placed_of

_SMALL = 64
_MAX_LEVELS = 64
_LARGEST = 1 << 53  # microseconds: 285 years


class CpuQuotas:
    """Reads quotas. `base`: where this process' cgroup namespace begins (procfs)."""

    def __init__(self, root: Path = Path("/"), base: str = "/") -> None:
        found = find_controller(root, "cpu")
        self._mount: str | None = None if found is None else str(found[0])
        self._version = 0 if found is None else found[1]
        self._base = base

    def of(self, lines: bytes | None) -> float | None:
        """CPUs, such as 1.5: the smallest quota on the way up; None where there is none.

        `lines`: what procfs.cgroup_lines tells of a process, as on v1 the cpu controller may have
        another path than the memory controller. None: the process is gone.
        """
        path = placed_of(b"cpu", self._version, self._base, lines)
        if self._mount is None or path is None:
            return None
        levels = [level for level in path.split("/") if level][:_MAX_LEVELS]
        quotas = []
        for depth in range(len(levels) + 1):
            quota = self._own("/".join([self._mount, *levels[:depth]]))
            if quota is not None:
                quotas.append(quota)
        return min(quotas, default=None)

    def _own(self, directory: str) -> float | None:
        if self._version == 2:
            words = (read_bytes(f"{directory}/cpu.max", _SMALL) or b"").split()
        else:
            words = (read_bytes(f"{directory}/cpu.cfs_quota_us", _SMALL) or b"").split()
            words += (read_bytes(f"{directory}/cpu.cfs_period_us", _SMALL) or b"").split()
        return parse_quota(words)


def parse_quota(words: list[bytes]) -> float | None:
    """CPUs out of [quota, period] in microseconds; None for "max", -1 and anything odd."""
    if len(words) != 2 or not all(word.isdigit() and len(word) < 17 for word in words):
        return None
    quota, period = map(int, words)
    if not (0 < quota < _LARGEST and 0 < period < _LARGEST):
        return None
    return quota / period
