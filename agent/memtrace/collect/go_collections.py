"""Which Go programs are probed, and the collections that their probes tell of.

Probed is what stays: attaching takes milliseconds, letting go more, and many Go programs
(health checks, hooks) end within a second. Nothing is loaded before there is something to probe.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass

from memtrace.collect.go_cycles import GoCycle, decode
from memtrace.golang.binary import GoBinary, Identity
from memtrace.golang.gcstate import KNOWN, offset_of
from memtrace.kernel.errors import BpfError
from memtrace.kernel.go_probe import GoProbe, TimeOffsets
from memtrace.samples import Feature

STAY_SECONDS = 2.0
LEAVE_SECONDS = 60.0
"""How long after its last process it is probed still: the next one may come."""
MAX_PROGRAMS = 256
ATTACHED_AT_ONCE = 4
_TIMES = ("assistTime", "dedicatedMarkTime", "fractionalMarkTime", "idleMarkTime")


@dataclass(slots=True)
class _Program:
    """When it was seen first and last; `number` is the probe's, None: not probed."""

    first: float
    last: float
    number: int | None = None
    refused: bool = False


class GoCollections:
    """Call `follow` and `drain` for each sample. `many`: as GoProbe has it.

    `stay`: how many seconds a program has to be there until it is probed; `at_once`: how many
    are probed in one call.
    """

    def __init__(
        self,
        feature: Feature,
        many: bool = False,
        stay: float = STAY_SECONDS,
        at_once: int = ATTACHED_AT_ONCE,
    ) -> None:
        self.feature = feature
        self._many = many
        self._stay = stay
        self._at_once = at_once
        self._probe: GoProbe | None = None
        self._programs: dict[Identity, _Program] = {}

    def follow(self, running: Mapping[Identity, tuple[int, GoBinary]], now: float) -> None:
        """Probe what stays and leave what is gone; `running`: a pid for each program."""
        if not self.feature.enabled:
            return
        attached = 0
        for identity, (pid, binary) in running.items():
            program = self._programs.setdefault(identity, _Program(now, now))
            program.last = now
            stays = now - program.first >= self._stay and not program.refused
            if program.number is None and stays and attached < self._at_once:
                attached += 1
                self._attach(program, pid, binary)
        for identity, program in list(self._programs.items()):
            if now - program.last > LEAVE_SECONDS:
                del self._programs[identity]
                self._leave(program)

    def probes(self, identity: Identity | None) -> bool:
        """Whether collections of this program are counted."""
        program = None if identity is None else self._programs.get(identity)
        return program is not None and program.number is not None

    def drain(self) -> list[GoCycle]:
        """The collections that ended since the last time, oldest first. Raises BpfError."""
        found: list[GoCycle] = []

        def take(record: memoryview) -> None:
            cycle = decode(record)
            if cycle is not None:
                found.append(cycle)

        if self._probe is not None:
            self._probe.drain(take)
        return found

    def lost(self) -> int:
        """Collections so far that were not told."""
        return 0 if self._probe is None else sum(self._probe.lost())

    def close(self) -> None:
        """Detach everything. May be called twice."""
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def _attach(self, program: _Program, pid: int, binary: GoBinary) -> None:
        probed = sum(each.number is not None for each in self._programs.values())
        probe = self._opened()
        if probe is None or binary.probes is None or probed >= MAX_PROGRAMS:
            program.refused = True
            return
        points, times = binary.probes._asdict(), _times(binary)
        try:
            program.number = probe.follow(f"/proc/{pid}/exe", points, times)
        except BpfError as error:
            # gone: the process it was to be reached through; another one may run it
            program.refused = error.errno not in (errno.ENOENT, errno.ESRCH)

    def _opened(self) -> GoProbe | None:
        if self._probe is None:
            try:
                self._probe = GoProbe(self._many)
            except BpfError as error:
                self.feature = Feature(False, f"the kernel refused the probes: {error}")
        return self._probe

    def _leave(self, program: _Program) -> None:
        if self._probe is not None and program.number is not None:
            self._probe.leave(program.number)


def _times(binary: GoBinary) -> TimeOffsets:
    """Where the collector keeps its CPU times; none where the layout was never compared."""
    minor = None if binary.build is None else binary.build.minor
    if minor not in KNOWN or minor is None:
        return TimeOffsets()
    return TimeOffsets(*(offset_of(name, minor) for name in _TIMES))
