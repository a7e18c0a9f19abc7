"""Live collection on this host: samples when asked, waits without losing events, closes it all."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from memtrace.collect.baseline import Progress
from memtrace.collect.census import CensusProgress
from memtrace.collect.collector import Collector
from memtrace.collect.starting import EXIT_RUNTIME, LiveError
from memtrace.kernel import wire
from memtrace.kernel.closing import Closing
from memtrace.kernel.errors import BpfError
from memtrace.kernel.plan import Plan
from memtrace.kernel.session import Session
from memtrace.kernel.sysfiles import number
from memtrace.samples import GoHeap, Identity, Sample

SLAB = "slab"
BPF_STATS = Path("/proc/sys/kernel/bpf_stats_enabled")
CENSUS_SECONDS = 30.0
CENSUS_SHARE = 0.02
"""How old a census gets while slab is watched before it is taken again, and the most of one CPU
that censuses may take: with much memory it gets older."""

GATHER_SECONDS = 2.0
CROWDED_SECONDS = 0.1
"""How often the kernel's ledgers are emptied while waiting: normally, and when they fill fast."""

BURST_SECONDS = 0.01
"""After the kernel woke us: what comes in bursts, such as cgroups, is gathered together."""


class RunFigures(NamedTuple):
    """Time in the programs that are always attached and their runs; None: the kernel does not
    count them. `rows`: of interval ledgers, so far. `fill`: how full tables were at most since
    the last time, by name.
    """

    seconds: float | None
    runs: int | None
    rows: int
    fill: dict[str, float]


class Live(Closing):
    """A running collection. `sample` takes the baseline first when one is due."""

    def __init__(self, session: Session, collector: Collector, plan: Plan, baseline: bool) -> None:
        self._session = session
        self._collector = collector
        self._plan = plan
        self._baseline_due = baseline
        self._census_due = self._census_watched = False
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.on_progress: Progress | None = None
        self.on_census: CensusProgress | None = None

    def sample(self) -> Sample:
        """Everything as of now. Raises LiveError."""
        try:
            if self._baseline_due:
                self._baseline_due = False
                self._take_baseline()
            self._take_census()
            return self._collector.sample()
        except BpfError as error:
            raise LiveError(f"the kernel refused a read: {error}", EXIT_RUNTIME) from error

    def wait(self, seconds: float, also: int | None = None) -> bool:
        """Keep the kernel's buffers empty for so long; returns early after `stop`.

        True when descriptor `also` has something to read, which ends the wait, too.
        """
        end = time.monotonic() + seconds
        try:
            while (left := end - time.monotonic()) > 0:
                pause = CROWDED_SECONDS if self._collector.gathering.crowded else GATHER_SECONDS
                ready = self._poll(min(left, pause), also)
                if self._wake_read in ready:
                    return False
                if also in ready:
                    return True
                if ready:
                    time.sleep(BURST_SECONDS)
                if ready or pause < left:
                    self._collector.gather()
        except BpfError as error:
            raise LiveError(f"the kernel refused a read: {error}", EXIT_RUNTIME) from error
        return False

    def _poll(self, seconds: float, also: int | None) -> list[int]:
        """Which descriptors have something: the ring buffer, the one `stop` writes to, `also`."""
        watched = [self._session.fileno(), self._wake_read]
        if also is not None:
            watched.append(also)
        return select.select(watched, [], [], seconds)[0]

    def uncharged_pages(self) -> int:
        """Pages added or removed so far that no memory cgroup pays for: no row has them."""
        return self._session.losses()[wire.LOSS_NO_CGROUP]

    def watch(self, names: frozenset[str], cgroup_ids: frozenset[int] | None) -> None:
        """Have these on-demand things watched for these cgroups and all below (None: all).

        What is not named is detached and unloaded; what cannot be watched says so in `features`.
        Raises LiveError. "slab" has kernel memory counted about every CENSUS_SECONDS, and its
        allocations watched, for all.
        """
        self._census_watched = SLAB in names
        self._collector.watch_allocations(SLAB in names)
        try:
            self._collector.watch(names - {SLAB}, cgroup_ids)
        except BpfError as error:
            raise LiveError(f"the kernel refused to watch: {error}", EXIT_RUNTIME) from error

    @property
    def attached_on_demand(self) -> tuple[str, ...]:
        """The programs that are attached only because somebody watches."""
        return self._collector.attached_on_demand

    def stat_lag(self) -> int:
        """Pages by which this kernel's memory.stat may differ for good, in one cgroup."""
        return self._plan.stat_lag * (os.cpu_count() or 1)

    def identities(self, paths: Mapping[int, str]) -> dict[int, Identity]:
        """Who is behind cgroups, by id and path, also those that are gone. Raises LiveError."""
        try:
            self._collector.gather()  # how a cgroup was made may still wait in the ring
        except BpfError as error:
            raise LiveError(f"the kernel refused a read: {error}", EXIT_RUNTIME) from error
        return {number: self._collector.identity(number, path) for number, path in paths.items()}

    def go_controllers(self) -> dict[int, tuple[int, int]]:
        """Where each Go process of the last sample has its gcController, and its start in ticks."""
        return self._collector.go.controllers()

    def go_heap(self, pid: int, block: bytes) -> GoHeap | None:
        """What a gcController's bytes say; None: no sense, or no Go process that was seen."""
        return self._collector.go.heap_of(pid, block)

    def run_figures(self) -> RunFigures:
        """What the programs cost and how full their tables are. Raises BpfError.

        To be called by whom calls `sample`.
        """
        counted = number(BPF_STATS) == 1
        nanoseconds, runs = self._session.run_stats() if counted else (None, None)
        seconds = None if nanoseconds is None else nanoseconds * 1e-9
        gathering = self._collector.gathering
        return RunFigures(seconds, runs, gathering.rows_read, gathering.fill())

    def request_baseline(self) -> None:
        """Take the baseline (again) before the next sample."""
        self._baseline_due = True

    def request_census(self) -> None:
        """Count kernel memory (again) before the next sample."""
        self._census_due = True

    def stop(self) -> None:
        """End a `wait` at once. May be called from a signal handler."""
        os.write(self._wake_write, b"x")

    def close(self) -> None:
        """Detach everything. May be called twice."""
        self._collector.close()
        self._session.close()
        if self._wake_read >= 0:
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_read = self._wake_write = -1

    def _take_baseline(self) -> None:
        feature = self._plan.features["baseline"]
        if not feature.enabled:
            self._collector.refuse_baseline(feature.reason)
            return
        self._collector.take_baseline(self.on_progress)

    def _take_census(self) -> None:
        age, cost = self._collector.census_age()
        lasts = max(CENSUS_SECONDS, cost / CENSUS_SHARE)
        old = self._census_watched and (age is None or age >= lasts)
        if self._census_due or old:
            self._census_due = False
            self._collector.take_census(self.on_census)
