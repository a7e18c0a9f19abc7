"""Which Go programs are probed, and the collections that their probes tell of.

Probed is what stays: attaching takes milliseconds, letting go more, and many Go programs
(health checks, hooks) end within a second. Nothing is loaded before there is something to probe.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from memtrace.collect.go_cycles import GoCycle, decode
from memtrace.golang.binary import GoBinary, Identity, inspect
from memtrace.golang.gcstate import KNOWN, offset_of
from memtrace.golang.probes import ProbePoints
from memtrace.kernel.errors import BpfError
from memtrace.kernel.go_probe import GoProbe, TimeOffsets
from memtrace.samples import Feature

STAY_SECONDS = 2.0
LEAVE_SECONDS = 60.0
"""How long after its last process it is probed still: the next one may come."""
RETRY_SECONDS = 4.0
"""Until the next try, when the process turned out to run something else by now."""
MAX_PROGRAMS = 256
ATTACHED_AT_ONCE = 4
_TIMES = ("assistTime", "dedicatedMarkTime", "fractionalMarkTime", "idleMarkTime")


class Probed(NamedTuple):
    """What is probed as one: a program file, and where. Anybody can give a file any identity."""

    identity: Identity
    points: ProbePoints


def probed_as(binary: GoBinary) -> Probed | None:
    """A program's place among what is probed; None: nobody knows where to probe it."""
    if binary.identity is None or binary.probes is None:
        return None
    return Probed(binary.identity, binary.probes)


@dataclass(slots=True)
class _Program:
    """When it was seen first and last; `number` is the probe's, None: not probed.

    `again`: when to try again what the kernel refused, for that `reason`.
    """

    first: float
    last: float
    number: int | None = None
    again: float = float("-inf")
    reason: str = ""


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
        self._feature = feature
        self._many = many
        self._stay = stay
        self._at_once = at_once
        self._probe: GoProbe | None = None
        self._programs: dict[Probed, _Program] = {}

    @property
    def feature(self) -> Feature:
        """Whether collections are counted, and of how many programs they are not, and why."""
        left_out = [each.reason for each in list(self._programs.values()) if each.reason]
        if not left_out or not self._feature.enabled:
            return self._feature
        return Feature(
            True, f"{self._feature.reason}; not of {len(left_out)} programs: {left_out[0]}"
        )

    def follow(self, running: Mapping[Probed, tuple[int, GoBinary]], now: float) -> None:
        """Probe what stays and leave what is gone; `running`: a pid for each program."""
        if not self._feature.enabled:
            return
        attached = 0
        for probed, (pid, binary) in running.items():
            program = self._programs.setdefault(probed, _Program(now, now))
            program.last = now
            stays = now - program.first >= self._stay and now >= program.again
            if program.number is None and stays and attached < self._at_once:
                attached += 1
                self._attach(program, pid, binary)
        for probed, program in list(self._programs.items()):
            if now - program.last > LEAVE_SECONDS:
                del self._programs[probed]
                self._leave(program)

    def probes(self, binary: GoBinary) -> bool:
        """Whether collections of this program are counted."""
        probed = probed_as(binary)
        program = None if probed is None else self._programs.get(probed)
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
        program.reason = "" if probed < MAX_PROGRAMS else f"{MAX_PROGRAMS} are counted already"
        if probe is None or program.reason:
            return
        try:
            fd = os.open(f"/proc/{pid}/exe", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return  # it ended; another process may run the program
        try:
            program.number = _follow(probe, fd, binary)
            program.again = program.last + RETRY_SECONDS
        except BpfError as error:
            program.reason = f"the kernel refused the probes: {error}"
            program.again = program.last + LEAVE_SECONDS
        finally:
            os.close(fd)

    def _opened(self) -> GoProbe | None:
        if self._probe is None:
            try:
                self._probe = GoProbe(self._many)
            except BpfError as error:
                self._feature = Feature(False, f"the kernel refused the probes: {error}")
        return self._probe

    def _leave(self, program: _Program) -> None:
        if self._probe is not None and program.number is not None:
            self._probe.leave(program.number)


def _follow(probe: GoProbe, fd: int, binary: GoBinary) -> int | None:
    """Probe the file behind `fd`; None: it is not the one whose points are known.

    A process may run another program by now, and a breakpoint in the midst of an instruction
    there would kill whoever runs it: so what is probed is read once more, by the same descriptor.
    """
    if binary.probes is None or inspect(fd) != binary:
        return None
    return probe.follow(f"/proc/self/fd/{fd}", binary.probes._asdict(), _times(binary))


def _times(binary: GoBinary) -> TimeOffsets:
    """Where the collector keeps its CPU times; none where the layout was never compared."""
    minor = None if binary.build is None else binary.build.minor
    if minor not in KNOWN or minor is None:
        return TimeOffsets()
    return TimeOffsets(*(offset_of(name, minor) for name in _TIMES))
