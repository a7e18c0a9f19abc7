"""Which processes are looked at, how often, and what becomes of those that end."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from memtrace.collect import processes
from memtrace.collect.events import TaskExited
from memtrace.collect.processes import LEAST_PAUSE, MAX_READS, MOST_PAUSE, SHOWN, ShownProcesses
from memtrace.host.processes import ProcessFacts
from memtrace.samples import Ledger, ProcessRow


class Proc:
    """Living processes by (tgid, start) and how often each was looked at."""

    def __init__(self) -> None:
        self.living: dict[tuple[int, int], ProcessFacts] = {}
        self.reads: list[int] = []

    def read(self, root: Path, tgid: int, start: int, stalls: object) -> ProcessFacts | None:
        self.reads.append(tgid)
        return self.living.get((tgid, start))


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch) -> Proc:
    """A fake /proc."""
    fake = Proc()
    monkeypatch.setattr(processes, "read_facts", fake.read)
    return fake


@pytest.fixture
def shown(tmp_path: Path, proc: Proc) -> ShownProcesses:
    """What is under test."""
    return ShownProcesses(tmp_path)


def ledger(*amounts: int, first: int = 1) -> Ledger:
    """Processes first, first + 1, ... that added these amounts."""
    rows = (ProcessRow(first + n, 7, "p", amount) for n, amount in enumerate(amounts))
    return Ledger(processes=tuple(rows))


def peaks(made: Ledger) -> list[int | None]:
    """The peak of every row."""
    return [row.peak_rss_bytes for row in made.processes]


def test_rows_are_filled_and_read_again_only_when_they_grow(
    shown: ShownProcesses, proc: Proc
) -> None:
    """A ledger that is as before comes back as it is."""
    proc.living = {(1, 7): ProcessFacts(100), (2, 7): ProcessFacts(200)}
    shown.begin(0)
    first = shown.fill(5, ledger(10, 5))
    assert peaks(first) == [100, 200]
    shown.begin(1)
    assert shown.fill(5, first) is first
    proc.living[1, 7] = ProcessFacts(101, 1, 2, 0.5)
    shown.begin(1.5)
    grown = shown.fill(5, ledger(11, 5))
    assert grown.processes[0] == ProcessRow(1, 7, "p", 11, 101, 1, 2, 0.5)
    assert proc.reads == [1, 2, 1]


def test_one_that_grows_all_the_time_is_not_read_for_every_sample(
    shown: ShownProcesses, proc: Proc
) -> None:
    """Every other time at one sample a second, and once more when it stands still."""
    proc.living = {(1, 7): ProcessFacts(100)}
    made = ledger()
    for second in range(6):
        shown.begin(second)
        made = shown.fill(5, ledger(10 + min(second, 3)))
    assert proc.reads == [1, 1, 1]
    assert shown.fill(5, made) is made


def test_a_living_process_is_looked_at_now_and_then(shown: ShownProcesses, proc: Proc) -> None:
    """It may need memory without adding to the cache."""
    proc.living = {(1, 7): ProcessFacts(100)}
    shown.begin(0)
    made = shown.fill(5, ledger(10))
    proc.living[1, 7] = ProcessFacts(900)
    shown.begin(LEAST_PAUSE)
    assert peaks(shown.fill(5, made)) == [900]


def test_one_that_stands_still_is_looked_at_less_and_less(
    shown: ShownProcesses, proc: Proc
) -> None:
    """Down to once a minute, until something changes."""
    proc.living = {(1, 7): ProcessFacts(100)}
    made = ledger(10)
    for second in range(600):
        shown.begin(second)
        made = shown.fill(5, made)
    assert len(proc.reads) < 10 + 600 / MOST_PAUSE


def test_one_that_ended_keeps_its_last_figures_and_is_left_alone(
    shown: ShownProcesses, proc: Proc
) -> None:
    """A new process with its pid is another row, with figures of its own."""
    proc.living = {(1, 7): ProcessFacts(100)}
    shown.begin(0)
    made = shown.fill(5, ledger(10))
    proc.living = {(1, 8): ProcessFacts(5)}
    for now in (LEAST_PAUSE, 2 * LEAST_PAUSE):
        shown.begin(now)
        made = shown.fill(5, made)
    assert peaks(made) == [100]
    assert proc.reads == [1, 1]
    other = Ledger(processes=(*made.processes, ProcessRow(1, 8, "q", 1)))
    assert peaks(shown.fill(5, other)) == [100, 5]


def test_an_end_tells_the_final_figures(shown: ShownProcesses, proc: Proc) -> None:
    """Whether the process was looked at before or not; how long it stalled was seen last."""
    proc.living = {(1, 7): ProcessFacts(100, 1, 1, 0.5)}
    shown.begin(0)
    made = shown.fill(5, ledger(10, 10))
    for tgid in (1, 2):
        shown.end(TaskExited(struct.pack("<II", tgid, 7), 3, 20, 30), page=4096)
    shown.begin(1)
    assert shown.fill(5, made).processes == (
        ProcessRow(1, 7, "p", 10, 12288, 20, 30, 0.5),
        ProcessRow(2, 7, "p", 10, 12288, 20, 30),
    )
    assert proc.reads == [1, 2]


def test_a_peak_outlives_the_memory(shown: ShownProcesses, proc: Proc) -> None:
    """A zombie has no peak any more, but still its disk I/O."""
    proc.living = {(1, 7): ProcessFacts(100, 1, 1)}
    shown.begin(0)
    made = shown.fill(5, ledger(10))
    proc.living = {(1, 7): ProcessFacts(None, 2, 2)}
    shown.begin(LEAST_PAUSE)
    assert shown.fill(5, made).processes[0] == ProcessRow(1, 7, "p", 10, 100, 2, 2)


def test_rows_no_view_shows_are_not_read(shown: ShownProcesses, proc: Proc) -> None:
    """The first of each cgroup only."""
    shown.begin(0)
    shown.fill(5, ledger(*range(SHOWN + 9, 0, -1)))
    assert proc.reads == list(range(1, SHOWN + 1))


def test_the_budget_of_a_sample_holds_and_everybody_has_a_turn(
    shown: ShownProcesses, proc: Proc
) -> None:
    """However many processes there are and although all of them grow all the time."""
    cgroups = 20
    everybody = {(n, 7): ProcessFacts(n) for n in range(1, cgroups * SHOWN + 1)}
    proc.living = dict(everybody)
    made: dict[int, Ledger] = {}
    for second in range(20):
        proc.reads.clear()
        shown.begin(second)
        for number in range(cgroups):
            grown = ledger(*[100 + second] * SHOWN, first=number * SHOWN + 1)
            made[number] = shown.fill(number, grown)
        assert len(proc.reads) <= MAX_READS
    assert [peak for one in made.values() for peak in peaks(one)] == [n for n, _ in everybody]


def test_a_process_in_two_cgroups_is_read_once(shown: ShownProcesses, proc: Proc) -> None:
    """And both show the same."""
    proc.living = {(1, 7): ProcessFacts(100)}
    shown.begin(0)
    assert peaks(shown.fill(5, ledger(10))) == peaks(shown.fill(6, ledger(20))) == [100]
    assert proc.reads == [1]
