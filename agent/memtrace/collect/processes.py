"""Peak memory, disk I/O and stalls of the processes that will be shown, read within a budget.

Reads a process when its row grew, and every ten seconds while it lives. Knows neither
/proc nor netlink (host/processes.py, host/taskstats.py) and keeps the last figures of a
process that has ended.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from memtrace.host.processes import ProcessFacts, read_facts
from memtrace.host.taskstats import open_stalls
from memtrace.samples import Ledger, ProcessRow

SHOWN = 20
"""Of each cgroup's rows: as many as a view lists."""
MAX_READS = 64
"""Processes read for one sample; each costs 0.1 ms. The others have their turn later."""
REFRESH_SECONDS = 10.0
MAX_KNOWN = 8192
FORGET = 0.25  # share of the oldest entries given up when there are too many

Key = tuple[int, int]  # tgid, start


class _Known:
    """One process: what was read of it last and when, and how much it had added by then."""

    __slots__ = ("added", "at", "ended", "facts")

    def __init__(self) -> None:
        self.facts = ProcessFacts()
        self.at = float("-inf")
        self.added = -1
        self.ended = False


class ShownProcesses:
    """Fills process rows of ledgers in; `feature` says whether stalls can be told, and why."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stalls, self.feature = open_stalls(root)
        self._known: dict[Key, _Known] = {}
        self._filled: dict[int, tuple[Ledger, float]] = {}  # by cgroup: made, and due again
        self._late: dict[Key, None] = {}
        self._now = 0.0
        self._budget = 0

    def begin(self, now: float) -> None:
        """A new sample at `now` (monotonic seconds). Who came too late last time is first."""
        self._now, self._budget = now, MAX_READS
        for key in [*self._late][: MAX_READS // 2]:
            del self._late[key]
            if key in self._known:
                self._read(key, self._known[key])

    def fill(self, cgroup: int, ledger: Ledger) -> Ledger:
        """The ledger with what is known of its first processes; itself when nothing is new."""
        filled, due = self._filled.get(cgroup, (None, 0.0))
        if ledger is filled and self._now < due:
            return ledger
        shown = [self._row(row) for row in ledger.processes[:SHOWN]]
        if any(new is not old for new, old in zip(shown, ledger.processes, strict=False)):
            ledger = replace(ledger, processes=(*shown, *ledger.processes[SHOWN:]))
        self._filled[cgroup] = ledger, self._now + (REFRESH_SECONDS if self._budget else 0)
        return ledger

    def forget(self, cgroup: int) -> None:
        """The cgroup is gone for good."""
        self._filled.pop(cgroup, None)

    def close(self) -> None:
        """Give the netlink socket back."""
        if self._stalls is not None:
            self._stalls.close()

    def _row(self, row: ProcessRow) -> ProcessRow:
        key = row.tgid, row.start
        known = self._known.get(key)
        if known is None:
            known = self._add(key)
        if not known.ended and (
            known.added < row.added_bytes or self._now - known.at >= REFRESH_SECONDS
        ):
            known.added = max(known.added, row.added_bytes)
            self._read(key, known)
        told = ProcessFacts(
            row.peak_rss_bytes, row.disk_read_bytes, row.disk_write_bytes, row.stall_seconds
        )
        if told == known.facts:
            return row
        return ProcessRow(row.tgid, row.start, row.comm, row.added_bytes, *known.facts)

    def _read(self, key: Key, known: _Known) -> None:
        """Read a process once per sample and within the budget, or put it in the queue."""
        if known.at == self._now or known.ended:
            return
        if self._budget <= 0:
            self._late[key] = None
            return
        self._budget -= 1
        known.at = self._now
        facts = read_facts(self._root, *key, self._stalls)
        if facts is None:
            known.ended = True
        elif facts.peak_rss_bytes is None:  # it is ending: its memory went before its counters
            known.facts = facts._replace(peak_rss_bytes=known.facts.peak_rss_bytes)
        else:
            known.facts = facts

    def _add(self, key: Key) -> _Known:
        if len(self._known) >= MAX_KNOWN:
            for old in [*self._known][: int(MAX_KNOWN * FORGET)]:
                del self._known[old]
                self._late.pop(old, None)
        known = self._known[key] = _Known()
        return known
