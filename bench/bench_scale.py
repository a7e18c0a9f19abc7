"""What an interval costs the agent: CPU time against how much changed, and how much did not.

Each place is a number of cgroups and of cached files; in each, a share of the files is taken
out of the cache and read again between two snapshots. The CPU time is the agent's own, from
its scheduler statistics; it includes the emptying of the ledgers before the snapshot.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from common import (
    IS_V1,
    PROGRAM,
    Cgroup,
    bar,
    compiled,
    options,
    progress,
    publish,
    status_mb,
)

INTERVAL = 1
INTERVALS, QUICK_INTERVALS = 12, 4
SETTLING = 60  # snapshots before anything is measured: by then every file shown has its name
BAR_MS = 50.0


class Place(NamedTuple):
    """How much there is."""

    cgroups: int
    files: int


class Change(NamedTuple):
    """How much of it changes in an interval: a share of the files, in a share of the cgroups."""

    files: float
    cgroups: float

    @property
    def title(self) -> str:
        """For people."""
        if not self.files:
            return "nothing changes"
        return f"{100 * self.files:g} % of the files, in {100 * self.cgroups:g} % of the cgroups"


PLACES = (Place(1, 0), Place(100, 0), Place(500, 0), Place(100, 50_000), Place(500, 100_000))
QUICK_PLACES = (Place(500, 100_000),)
IDLE, TYPICAL = Change(0, 0), Change(0.01, 0.01)
CHANGES = (IDLE, Change(0.001, 0.01), TYPICAL, Change(0.01, 1), Change(0.05, 0.05), Change(0.1, 1))
JUDGED = (Place(500, 100_000), TYPICAL)


class Churn:
    """The cached files and whoever changes them."""

    def __init__(self, program: Path, directory: Path, place: Place, cgroups: list[Cgroup]) -> None:
        self._place = place
        command = [program, directory, str(max(place.files, place.cgroups))]
        self._process = subprocess.Popen(
            [*command, *(cgroup.directory for cgroup in cgroups)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._expect("ready")

    def change(self, change: Change) -> None:
        """Renew so many files, and wait until it is done."""
        count = round(change.files * self._place.files)
        if count:
            spread = max(1, round(change.cgroups * self._place.cgroups))
            assert self._process.stdin is not None
            self._process.stdin.write(f"{count} {spread}\n")
            self._process.stdin.flush()
            self._expect("done")

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def _expect(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == word, "the workload ended early"


@contextmanager
def crowded(program: Path, directory: Path, place: Place) -> Iterator[Churn]:
    """So many cgroups below one, with so many files of one page."""
    with ExitStack() as stack:
        top = stack.enter_context(Cgroup("bench-scale"))
        below = [stack.enter_context(Cgroup(str(n), top)) for n in range(place.cgroups)]
        home = directory / f"{place.cgroups}-{place.files}"
        home.mkdir()
        churn = Churn(program, home, place, below)
        try:
            yield churn
        finally:
            churn.close()
            release(top)


def release(cgroup: Cgroup) -> None:
    """Have the kernel give up what is charged to a cgroup, or it outlives its directory."""
    name, amount = ("memory.force_empty", "0") if IS_V1 else ("memory.reclaim", "16G")
    with suppress(OSError):  # EAGAIN: not all of it could go
        (cgroup.directory / name).write_text(amount)


class Agent:
    """`top --json`, line by line, and the CPU time it took for each."""

    def __init__(self) -> None:
        command = [PROGRAM, "top", "--json", str(INTERVAL)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._before = 0.0

    def next_ms(self) -> float:
        """Wait for the next line; CPU milliseconds since the last one."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "memtrace ended early"
        run = Path(f"/proc/{self._process.pid}/schedstat").read_text().split()[0]
        now, before = int(run) / 1e6, self._before
        self._before = now
        return now - before

    def rss_mb(self) -> float:
        """Resident now."""
        return status_mb(self._process.pid, "VmRSS")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        assert self._process.stdout is not None
        self._process.stdout.read()
        self._process.wait(timeout=30)


def intervals(agent: Agent, churn: Churn, change: Change, count: int) -> list[float]:
    """CPU milliseconds of `count` intervals, each with such a change in it."""
    found = []
    for _ in range(count + 1):  # the line in which the change began is not counted
        churn.change(change)
        found.append(agent.next_ms())
    return found[1:]


def measure(program: Path, directory: Path, place: Place, count: int) -> list[dict[str, Any]]:
    """One place: all changes."""
    rows = []
    with crowded(program, directory, place) as churn:
        agent = Agent()
        try:
            for _ in range(SETTLING if place.files else 4):
                agent.next_ms()
            for change in CHANGES if place.files else CHANGES[:1]:
                spent = intervals(agent, churn, change, count)
                row = {
                    **place._asdict(),
                    "change": change.title,
                    "changed_files": round(change.files * place.files),
                    "cpu_ms": statistics.median(spent),
                    "cpu_ms_max": max(spent),
                    "rss_mb": agent.rss_mb(),
                }
                rows.append(row)
                show(row)
        finally:
            agent.close()
    return rows


def show(row: dict[str, Any]) -> None:
    """One line of the curve; a mark for each 2 ms."""
    line = "#" * round(row["cpu_ms"] / 2)
    print(
        f"  {row['cgroups']:4d} cgroups {row['files']:7d} files  {row['changed_files']:6d} changed"
        f"  {row['cpu_ms']:7.1f} ms  {row['rss_mb']:5.1f} MB  {line}  {row['change']}",
        flush=True,
    )


def main() -> int:
    """Measure, print, publish."""
    quick = options(__doc__ or "").quick
    count = QUICK_INTERVALS if quick else INTERVALS
    rows: list[dict[str, Any]] = []
    print("\nthe agent's CPU time per interval")
    with compiled("churn.c") as (program, directory):
        for place in QUICK_PLACES if quick else PLACES:
            progress(f"{place.cgroups} cgroups, {place.files} files")
            rows += measure(program, directory, place, count)
    place, change = JUDGED
    judged = [row for row in rows if Place(row["cgroups"], row["files"]) == place]
    cost = next(row["cpu_ms"] for row in judged if row["change"] == change.title)
    print("\nbars")
    name = f"{place.cgroups} cgroups, {place.files} files, {change.title}"
    bars = [bar(name, cost, BAR_MS, " ms")]
    publish("scale", {"interval_seconds": INTERVAL, "curve": rows, "bars": bars})
    return 0


if __name__ == "__main__":
    sys.exit(main())
