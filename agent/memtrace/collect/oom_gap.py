"""Kills while nobody watched: the kernel's counters now, against those of the last run.

Counts outlive this process, but neither a cgroup nor a boot: what is saved is believed within
one boot only.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from memtrace.host.files import read_beneath, replace_file
from memtrace.host.hierarchy import Hierarchy
from memtrace.host.oom_counters import KillCount, kill_counts, machine_kills
from memtrace.host.procfs import boot_id
from memtrace.kills import COUNTERS, OomEvent, OomLevel

FILE = "oom_counters.json"
VERSION = 2
_LIMIT = 4 << 20


class Saved(NamedTuple):
    """What the counters were at one moment of this boot: of each cgroup, kills and groups."""

    moment: float
    boot_ns: int
    machine: int
    cgroups: dict[int, tuple[int, int]]


class Known(NamedTuple):
    """Victims that were told, by cgroup id, and how many groups of several, by the first one's."""

    victims: Counter[int]
    groups: Counter[int]

    def total(self) -> int:
        """How many there are, to see whether there are more."""
        return self.victims.total()


class Counts(NamedTuple):
    """The kernel's counters at one moment; `machine`: None where it does not say."""

    machine: int | None
    cgroups: dict[int, KillCount]


class KillCounters:
    """The counters, kept in the state directory. None of its methods raises.

    `problem`: why they cannot be kept; empty when they can.
    """

    def __init__(self, directory: Path, hierarchy: Hierarchy, root: Path = Path("/")) -> None:
        self._directory = directory
        self._hierarchy = hierarchy
        self._root = root
        self.boot_id = boot_id(root) or ""  # empty where the kernel does not say
        self.saved = _parse(read_beneath(directory, FILE, _LIMIT, os.geteuid()), self.boot_id)
        self.problem = ""

    def missed(self, counts: Counts, known: Known) -> list[OomEvent]:
        """One event for each cgroup in which more was killed than is known, and one for the rest.

        `known`: told since attaching or in records made since the counters were saved, as of the
        moment of `counts`. Without saved counters nothing is known to be missed.
        """
        if self.saved is None:
            return []
        made, twice = [], known.groups.copy()
        for cgroup_id, count in counts.cgroups.items():
            kills, groups = self.saved.cgroups.get(cgroup_id, (0, 0))
            if count.groups is not None:
                twice[cgroup_id] = count.groups - groups
            kills = count.kills - kills - twice[cgroup_id] - known.victims[cgroup_id]
            if kills > 0:
                made.append(self._event(kills, cgroup_id, count))
        if counts.machine is not None:
            told = known.total() + twice.total() + sum(event.kills for event in made)
            rest = counts.machine - self.saved.machine - told
            if rest > 0:
                made.append(self._event(rest, None, None))
        return made

    def read(self) -> Counts:
        """The counters as they are: the machine's first, never ahead of the cgroups'."""
        return Counts(machine_kills(self._root), kill_counts(self._hierarchy))

    def now(self) -> Saved:
        """The counters as they are, to be kept."""
        moment, boot_ns = time.time(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        machine, cgroups = self.read()
        numbers = {key: (count.kills, count.groups or 0) for key, count in cgroups.items()}
        return Saved(moment, boot_ns, machine or 0, numbers)

    def kept(self) -> bool:
        """Whether what was saved is still there, and was the last that should be."""
        return not self.problem and (self._directory / FILE).exists()

    def save(self, counts: Saved) -> None:
        """Keep counters, as `now` told them."""
        document = {
            "version": VERSION,
            "boot_id": self.boot_id,
            "time": counts.moment,
            "boot_ns": counts.boot_ns,
            "machine": counts.machine,
            "cgroups": {str(cgroup_id): numbers for cgroup_id, numbers in counts.cgroups.items()},
        }
        try:
            self._write(json.dumps(document, separators=(",", ":")).encode())
        except OSError as error:
            self.problem = (
                f"kills while memtrace is not running would not be noticed: {self._directory} "
                f"cannot be written: {error.strerror}"
            )
        else:
            self.problem = ""

    def _write(self, data: bytes) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            replace_file(folder, FILE, data)
        finally:
            os.close(folder)

    def _event(self, kills: int, cgroup_id: int | None, count: KillCount | None) -> OomEvent:
        levels: tuple[OomLevel, ...] = ()
        if cgroup_id is not None and count is not None:
            levels = (OomLevel(cgroup_id, count.path, None, None, None, None, None),)
        return OomEvent(
            COUNTERS,
            time.time(),
            time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            monotonic=time.monotonic(),
            cgroup_id=cgroup_id,
            levels=levels,
            kills=kills,
            since=self.saved.moment if self.saved else None,
        )


def _parse(data: bytes | None, boot: str) -> Saved | None:
    """What was saved in this boot; None when that makes no sense."""
    try:
        document: Any = json.loads(data or b"")
        if document["version"] != VERSION or document["boot_id"] != boot or not boot:
            return None
        numbers = document["cgroups"].items()
        cgroups = {int(key): (int(kills), int(groups)) for key, (kills, groups) in numbers}
        moment, since = float(document["time"]), int(document["boot_ns"])
        return Saved(moment, since, int(document["machine"]), cgroups)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
