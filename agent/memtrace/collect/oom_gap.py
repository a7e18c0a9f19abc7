"""Kills while nobody watched: the kernel's counters now, against those of the last run.

Counts outlive this process, but neither a cgroup nor a boot: what is saved is believed within
one boot only.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from memtrace.host.files import read_beneath, replace_file
from memtrace.host.hierarchy import Hierarchy
from memtrace.host.oom_counters import KillCount, kill_counts, machine_kills
from memtrace.host.procfs import boot_id
from memtrace.kills import COUNTERS, OomEvent, OomLevel

FILE = "oom_counters.json"
VERSION = 1
_LIMIT = 4 << 20


class Saved:
    """What the counters were at one moment of this boot."""

    def __init__(self, moment: float, boot_ns: int, machine: int, cgroups: dict[int, int]) -> None:
        self.moment = moment
        self.boot_ns = boot_ns
        self.machine = machine
        self.cgroups = cgroups


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

    def missed(self, counts: Counts, recorded: Mapping[int, int]) -> list[OomEvent]:
        """One event for each cgroup in which more was killed than is known, and one for the rest.

        `recorded`: victims by cgroup id, told since attaching or in records made since the
        counters were saved, as of the moment of `counts`. Without saved counters nothing is known
        to be missed.
        """
        if self.saved is None:
            return []
        machine, made = counts.machine, []
        for cgroup_id, count in counts.cgroups.items():
            known = self.saved.cgroups.get(cgroup_id, 0) + recorded.get(cgroup_id, 0)
            if count.kills > known:
                made.append(self._event(count.kills - known, cgroup_id, count))
        if machine is not None:
            told = sum(recorded.values()) + sum(event.kills for event in made)
            rest = machine - self.saved.machine - told
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
        kills = {key: count.kills for key, count in cgroups.items()}
        return Saved(moment, boot_ns, machine or 0, kills)

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
            "cgroups": {str(cgroup_id): kills for cgroup_id, kills in counts.cgroups.items()},
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
        cgroups = {int(key): int(value) for key, value in document["cgroups"].items()}
        moment, since = float(document["time"]), int(document["boot_ns"])
        return Saved(moment, since, int(document["machine"]), cgroups)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
