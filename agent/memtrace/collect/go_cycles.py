"""Decodes records of garbage collections in Go programs. Bytes in, one value out; keeps nothing."""

from __future__ import annotations

from typing import NamedTuple

from memtrace.kernel import wire

TRIGGERS = ("heap", "periodic", "forced")
"""Why a collection began: the heap reached its goal, two minutes went by, runtime.GC was called."""


class GoCycle(NamedTuple):
    """One finished collection. Times are nanoseconds, moments those of CLOCK_MONOTONIC.

    `process` is a wire.PROCESS. Pauses begin with the call that stops the world and end when the
    runtime says so, as in GODEBUG=gctrace. Assist, dedicated, fractional and idle are the CPU
    time of marking, as the runtime counts it; None: not known. `controller`: the address of
    gcController in the process.
    """

    process: bytes
    cgroup_id: int
    begun_ns: int
    ended_ns: int
    first_pause_ns: int
    last_pause_ns: int
    marked_bytes: int | None
    assist_ns: int | None
    dedicated_ns: int | None
    fractional_ns: int | None
    idle_ns: int | None
    controller: int
    trigger: str | None
    procs: int
    binary: int

    @property
    def wall_ns(self) -> int:
        """From the first stop of the world to the end of the last."""
        return self.ended_ns - self.begun_ns

    @property
    def pauses_ns(self) -> int:
        """While the program stood still."""
        return self.first_pause_ns + self.last_pause_ns

    @property
    def cpu_ns(self) -> int | None:
        """CPU time of marking and of all processors in the pauses; None: not known.

        Marking in time that nobody else wanted (idle) is not counted.
        """
        if self.assist_ns is None or self.dedicated_ns is None or self.fractional_ns is None:
            return None
        marking = self.assist_ns + self.dedicated_ns + self.fractional_ns
        return marking + self.pauses_ns * self.procs

    @property
    def cpu_fraction(self) -> float | None:
        """The part of all GOMAXPROCS processors it took while it ran; None: not known."""
        whole = self.wall_ns * self.procs
        return min(1.0, self.cpu_ns / whole) if self.cpu_ns is not None and whole > 0 else None


def decode(record: memoryview) -> GoCycle | None:
    """One wire.GO_CYCLE; None for a record that is too short."""
    if len(record) < wire.GO_CYCLE.size:
        return None
    process, cgroup, *amounts, controller, trigger, procs, binary = wire.GO_CYCLE.unpack_from(
        record
    )
    begun, ended, first, last, marked, *times = amounts
    assist, dedicated, fractional, idle = map(_told, times)
    return GoCycle(
        process,
        cgroup,
        begun,
        ended,
        first,
        last,
        _told(marked),
        assist,
        dedicated,
        fractional,
        idle,
        controller,
        TRIGGERS[trigger] if trigger < len(TRIGGERS) else None,
        procs,
        binary,
    )


def _told(amount: int) -> int | None:
    """A figure of the program's own memory: one that is no time and no amount is not known."""
    return amount if amount < 1 << 62 else None
