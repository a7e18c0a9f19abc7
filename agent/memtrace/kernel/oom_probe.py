"""The OOM programs as one thing: attach, drain kills, read a cgroup's state. Decodes nothing.

Apart from session.py: its ring must not be filled by other events, and a command may want
kills alone.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from memtrace.kernel import wire
from memtrace.kernel.closing import Closing
from memtrace.kernel.engines import Engine, LibbpfEngine
from memtrace.kernel.ring import RingBuffer

PROGRAMS = ("on_signal_generate", "on_mark_victim")
_ZERO = struct.pack("<I", 0)


class GoController(NamedTuple):
    """Where a process has its gcController, and when it started (ticks of /proc/PID/stat)."""

    address: int
    start_ticks: int


class OomProbe(Closing):
    """Attached OOM programs. Methods raise BpfError. `daemons`: names whose signals count."""

    def __init__(self, daemons: Iterable[str] = (), engine: Engine | None = None) -> None:
        self._object = (engine or LibbpfEngine()).open("oom")
        self._ring: RingBuffer | None = None
        self._go: dict[int, GoController] = {}
        try:
            self._object.load()
            for name in daemons:
                comm = name.encode()[: wire.COMM_BYTES - 1].ljust(wire.COMM_BYTES, b"\0")
                self._object.map("oom_daemons").put(comm, struct.pack("<I", 1))
            self._ring = RingBuffer(self._object.map("kills"))
            for name in PROGRAMS:
                self._object.attach(name)
        except BaseException:
            self.close()
            raise

    def drain(self, callback: Callable[[memoryview], None]) -> int:
        """Hand every waiting record to `callback`; return how many."""
        return self._opened().drain(callback)

    def fileno(self) -> int:
        """Readable when a kill waits; give the probe to select()."""
        return self._opened().fileno()

    def lost(self) -> int:
        """Kills so far that found no room in the ring."""
        return int.from_bytes(self._object.map("kills_lost").get(_ZERO) or b"", "little")

    def follow_go(self, controllers: Mapping[int, GoController]) -> None:
        """Make these processes, by id, the ones whose gcController is read when they are killed.

        8,192 at most: more raise E2BIG.
        """
        known = self._object.map("oom_go")
        for tgid in self._go.keys() - controllers.keys():
            known.delete(struct.pack("<I", tgid))
            del self._go[tgid]
        for tgid, place in controllers.items():
            if self._go.get(tgid) != place:
                known.put(struct.pack("<I", tgid), wire.GO_CONTROLLER.pack(*place))
                self._go[tgid] = place

    def state(self, directory: Path) -> tuple[int, ...] | None:
        """How memcg->vmstats->state of a cgroup begins, by its directory; None: no such one."""
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if self._object.run("read_state", struct.pack("<Q", fd)) != 0:
                return None
        finally:
            os.close(fd)
        answer = self._object.map("oom_state").get(_ZERO) or b""
        return struct.unpack(f"<{wire.OOM_STATES}q", answer)

    def close(self) -> None:
        """Detach and unload everything. May be called twice."""
        if self._ring is not None:
            self._ring.close()
        self._object.close()

    def _opened(self) -> RingBuffer:
        if self._ring is None:
            raise ValueError("the OOM probe is closed")
        return self._ring
