"""The probes in Go's runtime as one thing: follow binaries, drain finished collections.

Finds nothing in a binary (golang/) and decodes nothing (collect/go_cycles.py).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

from memtrace.kernel import wire
from memtrace.kernel.closing import Closing
from memtrace.kernel.objects import BpfObject
from memtrace.kernel.ring import RingBuffer
from memtrace.kernel.session import OBJECTS
from memtrace.kernel.uprobes import UPROBE_MULTI, Attached, EachUprobe, attach_many

PROGRAM = "on_go_runtime"
POINTS = {
    "stop": wire.GO_STOP,  # runtime.stopTheWorldWithSema
    "cycle_start": wire.GO_BEGIN,  # runtime.(*gcControllerState).startCycle
    "cycle_end": wire.GO_END,  # runtime.(*gcControllerState).endCycle
    "reset_live": wire.GO_RESET,  # runtime.(*gcControllerState).resetLive
    "finish": wire.GO_FINISH,  # runtime.(*gcCPULimiterState).finishGCTransition
}
"""What has to be found in a binary, all of it."""


class TimeOffsets(NamedTuple):
    """Where a gcController counts the CPU time of marking, in bytes; 0: not known."""

    assist: int = 0
    dedicated: int = 0
    fractional: int = 0
    idle: int = 0


UNKNOWN_TIMES = TimeOffsets()


class GoLosses(NamedTuple):
    """Collections that were not told: the ring was full; too many processes at it at once."""

    ring: int
    processes: int


class GoProbe(Closing):
    """Nothing is probed until `follow`. Methods raise BpfError.

    `many`: one link for each binary (Linux 6.6); else perf events, slower to let go.
    """

    def __init__(self, many: bool) -> None:
        self._many = many
        self._followed: dict[int, Attached] = {}
        self._last = 0
        self._ring: RingBuffer | None = None
        self._object = BpfObject.open(OBJECTS / "go_gc.bpf.o", "go_gc")
        try:
            if many:
                self._object.expect_attach(PROGRAM, UPROBE_MULTI)
            self._object.load()
            self._object.attach("on_sched_process_exit")
            self._ring = RingBuffer(self._object.map("go_cycles"))
        except BaseException:
            self.close()
            raise

    def follow(
        self, path: str, places: Mapping[str, int], times: TimeOffsets = UNKNOWN_TIMES
    ) -> int:
        """Probe a binary, in all its processes, now and later; return its number, for `leave`.

        `path` may be /proc/PID/exe or /proc/self/fd/N. `places`: an offset into the file for each
        of POINTS, of an instruction that finds the arguments in their registers still. A file that
        is followed twice costs twice, and tells in the name of one of its numbers.
        """
        binary = self._last = self._last + 1
        cookies = {
            places[name]: binary << wire.GO_POINT_BITS | point for name, point in POINTS.items()
        }
        self._object.map("go_binaries").put(struct.pack("<I", binary), wire.GO_TIMES.pack(*times))
        program = self._object.program(PROGRAM)
        try:
            attach = attach_many if self._many else EachUprobe
            self._followed[binary] = attach(program, path, cookies)
        except BaseException:
            self._forget(binary)
            raise
        return binary

    def leave(self, binary: int) -> None:
        """Take the probes out of a binary; a number that is not followed does nothing."""
        attached = self._followed.pop(binary, None)
        if attached is not None:
            attached.close()
            self._forget(binary)

    def drain(self, callback: Callable[[memoryview], None]) -> int:
        """Hand every waiting record (wire.GO_CYCLE) to `callback`; return how many.

        Nothing wakes anybody up: the ring holds 2,000 collections.
        """
        return self._opened().drain(callback)

    def lost(self) -> GoLosses:
        """What was not told so far."""
        places = self._object.map("go_lost")
        found = (places.get(struct.pack("<I", place)) for place in range(len(GoLosses._fields)))
        return GoLosses(*(int.from_bytes(value or b"", "little") for value in found))

    def unfinished(self) -> int:
        """Processes that stopped their world for anything since their last collection."""
        return sum(count for _, _, count in self._object.map("go_running").items())

    def close(self) -> None:
        """Detach and unload everything. May be called twice."""
        for attached in self._followed.values():
            attached.close()
        self._followed.clear()
        if self._ring is not None:
            self._ring.close()
        self._object.close()

    def _forget(self, binary: int) -> None:
        self._object.map("go_binaries").delete(struct.pack("<I", binary))

    def _opened(self) -> RingBuffer:
        if self._ring is None:
            raise ValueError("the Go probe is closed")
        return self._ring
