"""Kills as they happen: the attached probe, what belongs together, and when it was.

Names nobody and keeps nothing: what to do with an event is the caller's business.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from memtrace.collect import oom_state
from memtrace.collect.oom import Cause, Grouping, decode
from memtrace.collect.oom_gap import Known
from memtrace.collect.starting import EXIT_MISSING, EXIT_RUNTIME, LiveError, choose_engine
from memtrace.host.hierarchy import Hierarchy, HostError, find_hierarchy
from memtrace.kernel.closing import Closing
from memtrace.kernel.engines import Engine
from memtrace.kernel.errors import BpfError, EngineError
from memtrace.kernel.oom_probe import GoController, OomProbe
from memtrace.kernel.plan import oom_feature
from memtrace.kills import KERNEL, OomEvent
from memtrace.samples import Feature

DAEMONS = ("systemd-oomd", "oomd", "earlyoom", "nohang", "bustd", "lmkd")
"""Whose SIGKILL and SIGTERM are for want of memory: they send it for nothing else."""

LEARN_SECONDS = 60.0
"""How often the places of statistics that are not known yet are looked for."""


class OomCapture(Closing):
    """Attached from the first moment on. Methods raise BpfError."""

    def __init__(self, hierarchy: Hierarchy, engine: Engine | None = None) -> None:
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._grouping = Grouping()
        self._told = Known(Counter(), Counter())
        self._hierarchy = hierarchy
        self._places: dict[str, oom_state.Place] = {}
        self._learned_at = 0.0
        self._probe = OomProbe(DAEMONS, engine)
        try:
            self._learn()
        except BaseException:
            self._probe.close()
            raise

    def fileno(self) -> int:
        """Readable when a kill was told; give the capture to select()."""
        return self._probe.fileno()

    def due(self) -> float | None:
        """Seconds until `events` has something that was told already; None: nothing was."""
        return self._grouping.due(_boot_ns())

    def events(self) -> list[OomEvent]:
        """Every decision to kill that is complete by now, oldest first, each once."""
        self._probe.drain(self._on_record)
        if time.monotonic() - self._learned_at > LEARN_SECONDS:
            self._learn()
        now = _boot_ns()
        complete = self._grouping.complete(now)
        lost = self._probe.lost() if complete else 0
        wall, monotonic = time.time(), time.monotonic()
        return [
            replace(
                event,
                time=wall - (now - event.boot_ns) / 1e9,
                monotonic=monotonic - (now - event.boot_ns) / 1e9,
                memory=self._memory(event, cause),
                lost=lost,
            )
            for event, cause in complete
        ]

    def follow_go(self, controllers: Mapping[int, GoController]) -> None:
        """Where the Go programs of now have their gcController; see OomProbe.follow_go."""
        self._probe.follow_go(controllers)

    def told(self) -> Known:
        """Victims of the kernel's killer since attaching."""
        self._probe.drain(self._on_record)
        return self._told

    def close(self) -> None:
        """Detach. May be called twice."""
        self._probe.close()

    def _learn(self) -> None:
        """What was 0 everywhere at start, as slab on a fresh machine, is found once it is not."""
        self._learned_at = time.monotonic()
        if not oom_state.is_complete(self._places, self._hierarchy):
            found = oom_state.learn(self._hierarchy, self._probe.state, self._page)
            self._places = {**found, **self._places}

    def _on_record(self, record: memoryview) -> None:
        kill = decode(record, self._page)
        if kill is not None:
            number = self._grouping.add(kill)
            if number and kill.source == KERNEL and kill.victim.cgroup_id is not None:
                self._told.victims[kill.victim.cgroup_id] += 1
                self._told.groups[kill.victim.cgroup_id] += number == 2

    def _memory(self, event: OomEvent, cause: Cause | None) -> dict[str, int] | None:
        """What the kernel held of the cgroup; of a machine nothing is told."""
        if cause is None or not any(cause.state) or not self._places:
            return None
        if event.source == KERNEL and not event.cgroup_id:
            return None
        return oom_state.amounts(cause.state, self._places)


def open_capture(root: Path = Path("/"), engine: str = "auto") -> OomCapture | Feature:
    """Attach, or say why that cannot be here. Raises LiveError when the kernel refuses."""
    choice = choose_engine(engine, "capturing kills")
    feature = oom_feature(choice.facts)
    if not feature.enabled:
        return feature
    try:
        return OomCapture(find_hierarchy(root), choice.engine())
    except (HostError, EngineError) as error:
        raise LiveError(str(error), EXIT_MISSING) from error
    except BpfError as error:
        raise LiveError(f"the kernel refused the OOM programs: {error}", EXIT_RUNTIME) from error


def _boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
