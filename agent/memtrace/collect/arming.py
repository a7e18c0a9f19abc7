"""When to watch what is dear to watch: while an amount grows, or on request.

The amounts are kernel memory (slab_watch.py) and what was read again (watches/thrashing.py).
Watching begins when one grew at two samples in a row, and ends after a while without. Decides
only; knows no cgroup and no clock.
"""

from __future__ import annotations

MIB = 1 << 20
GROWS = MIB
"""Bytes a second from which on it grows; and at least so much between two samples."""
STEP = 4 * MIB
"""Growth between two samples that counts however long they are apart."""
SAMPLES = 2
"""So many in a row: the start of a program alone is no growth."""
STILL = MIB // 4
"""Bytes a second below which it does not grow: one CPU may hold back so much for a while."""
QUIET_SECONDS = 10.0
QUIET_SAMPLES = 3
"""How long, and how often looked at, it stands still before watching ends."""


class Arming:
    """One decision after the other. `requested`: somebody wants to watch whatever happens."""

    def __init__(self) -> None:
        self.armed = False
        self.requested = False
        self._growing = 0  # samples in a row
        self._quiet = 0
        self._quiet_since: float | None = None
        self._before: float | None = None

    def step(self, now: float, growth: int) -> bool:
        """Whether to watch from now (monotonic seconds) on.

        `growth`: the most that any cgroup's amount grew since the step before, in bytes.
        """
        elapsed = 0.0 if self._before is None else now - self._before
        self._before = now
        self._count(now, elapsed, growth)
        if self.requested or self._growing >= SAMPLES:
            self.armed = True
        elif self.armed and self._has_been_quiet(now):
            self.armed = False
        return self.armed

    def _count(self, now: float, elapsed: float, growth: int) -> None:
        grows = growth >= STEP or growth >= GROWS * max(elapsed, 1.0)
        self._growing = self._growing + 1 if grows else 0
        if growth > STILL * max(elapsed, 1.0):
            self._quiet, self._quiet_since = 0, None
            return
        self._quiet += 1
        if self._quiet_since is None:
            self._quiet_since = now - elapsed

    def _has_been_quiet(self, now: float) -> bool:
        since = self._quiet_since
        return since is not None and self._quiet >= QUIET_SAMPLES and now - since >= QUIET_SECONDS
