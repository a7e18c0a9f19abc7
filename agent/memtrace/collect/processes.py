"""Peak memory, disk I/O and stalls of the processes that will be shown, read within a budget.

Reads a process when its row grew, but not every second, and now and then while it lives; what
it needed at its end comes with an event, or is what was read last. Knows neither /proc nor netlink
(host/processes.py, host/taskstats.py).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from memtrace.collect.events import TaskExited
from memtrace.host.processes import ProcessFacts, read_facts
from memtrace.host.taskstats import open_stalls
from memtrace.kernel import wire
from memtrace.samples import Ledger, ProcessRow

SHOWN = 20
"""Of each cgroup's rows: as many as a view lists."""
MAX_READS = 64
"""Processes read for one sample; each costs 0.1 ms. The others have their turn later."""
LEAST_PAUSE, MOST_PAUSE = 2.0, 64.0
"""Seconds until a process is read again: twice as long each time nothing had changed."""
GROWN_PAUSE = 1.5
"""Seconds until one whose row grew is read again: what it needed at its end comes with an event."""
MAX_KNOWN = 4096
MAX_ENDED = 1024
"""Final figures kept for processes that no row shows yet."""
FORGET = 0.25  # share of the oldest entries given up when there are too many

Key = tuple[int, int]  # tgid, start


class _Known:
    """One process: what was read of it last and when, and how much it had added by then."""

    __slots__ = ("added", "at", "cgroups", "ended", "facts", "pause")

    def __init__(self, facts: ProcessFacts, ended: bool) -> None:
        self.facts = facts
        self.at = float("-inf")
        self.pause = LEAST_PAUSE
        self.added = -1
        self.ended = ended
        self.cgroups: tuple[int, ...] = ()  # which show it

    @property
    def due(self) -> float:
        """When to read it again."""
        return float("inf") if self.ended else self.at + self.pause


class ShownProcesses:
    """Fills process rows of ledgers in; `feature` says whether stalls can be told, and why."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stalls, self.feature = open_stalls(root)
        self._known: dict[Key, _Known] = {}
        self._ended: dict[Key, ProcessFacts] = {}
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
        known = [self._look(row, cgroup) for row in ledger.processes[:SHOWN]]
        shown = [_told(row, one.facts) for row, one in zip(ledger.processes, known, strict=False)]
        if any(new is not old for new, old in zip(shown, ledger.processes, strict=False)):
            ledger = replace(ledger, processes=(*shown, *ledger.processes[SHOWN:]))
        self._filled[cgroup] = ledger, min((one.due for one in known), default=float("inf"))
        return ledger

    def news(self, cgroup: int) -> bool:
        """Whether `fill` may tell something else than before, of the same ledger."""
        filled = self._filled.get(cgroup)
        return filled is None or self._now >= filled[1]

    def end(self, event: TaskExited, page: int) -> None:
        """A process ended with these figures; `page` is the bytes of a page."""
        tgid, start = wire.PROCESS.unpack(event.process)
        peak = None if event.peak_pages is None else event.peak_pages * page
        facts = ProcessFacts(peak, event.read_bytes, event.write_bytes)
        known = self._known.get((tgid, start))
        if known is None:
            _make_room(self._ended, MAX_ENDED)
            self._ended[tgid, start] = facts
            return
        if peak is None:
            facts = facts._replace(peak_rss_bytes=known.facts.peak_rss_bytes)
        known.facts = facts._replace(stall_seconds=known.facts.stall_seconds)
        known.ended = True
        for cgroup in known.cgroups:
            if cgroup in self._filled:
                self._filled[cgroup] = self._filled[cgroup][0], 0.0

    def forget(self, cgroup: int) -> None:
        """The cgroup is gone for good."""
        self._filled.pop(cgroup, None)

    def close(self) -> None:
        """Give the netlink socket back."""
        if self._stalls is not None:
            self._stalls.close()

    def _look(self, row: ProcessRow, cgroup: int) -> _Known:
        """What is known of a row's process, read anew if it is time."""
        key = row.tgid, row.start
        known = self._known.get(key)
        if known is None:
            _make_room(self._known, MAX_KNOWN)
            final = self._ended.pop(key, None)
            known = self._known[key] = _Known(final or _facts(row), final is not None)
        if cgroup not in known.cgroups:
            known.cgroups += (cgroup,)
        grew = known.added < row.added_bytes
        if grew and self._now < known.at + GROWN_PAUSE:
            known.pause = LEAST_PAUSE
        elif grew or self._now >= known.due:
            known.added = max(known.added, row.added_bytes)
            self._read(key, known)
        return known

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
            return
        if facts.peak_rss_bytes is None:  # it is ending: its memory went before its counters
            facts = facts._replace(peak_rss_bytes=known.facts.peak_rss_bytes)
        known.pause = LEAST_PAUSE if facts != known.facts else min(2 * known.pause, MOST_PAUSE)
        known.facts = facts


def _facts(row: ProcessRow) -> ProcessFacts:
    return ProcessFacts(
        row.peak_rss_bytes, row.disk_read_bytes, row.disk_write_bytes, row.stall_seconds
    )


def _told(row: ProcessRow, facts: ProcessFacts) -> ProcessRow:
    """The row with these facts; itself when it has them."""
    if facts == _facts(row):
        return row
    return ProcessRow(row.tgid, row.start, row.comm, row.added_bytes, *facts)


def _make_room(table: dict[Key, Any], bound: int) -> None:
    """Give up the oldest entries of a full table."""
    if len(table) >= bound:
        for old in [*table][: int(bound * FORGET)]:
            del table[old]
