"""How long the walk of everything cached takes, with 100,000 cached inodes beside the rest.

The files are of one page each, which costs a walk most for its bytes. CPU time, as wall time
depends on who else runs: of the walk (loading its program included), and of the first snapshot
with all that is made of what the walk found.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

from common import Cgroup, bar, disk_directory, options, progress, publish

from memtrace.collect.opening import open_live

FILES = 100_000
RUNS, QUICK_RUNS = 9, 3
BAR_SECONDS = 0.5


class Cost(NamedTuple):
    """CPU seconds of the walk and of the whole first snapshot, and the files met."""

    walk: float
    snapshot: float
    files: int


def cost() -> Cost:
    """Attach, take the baseline once, detach."""
    times = []

    def note(superblocks: int, _pages: int) -> None:
        if not superblocks:  # the walk is over
            times.append(time.process_time())

    with open_live(Path("/")) as live:
        live.on_progress = note
        times.append(time.process_time())
        files = live.sample().baseline.files
        times.append(time.process_time())
    begun, walked, ended = times
    return Cost(walked - begun, ended - begun, files or 0)


def fill(cgroup: Cgroup, directory: Path) -> None:
    """A child in the cgroup makes the files, which stay cached."""
    child = os.fork()
    if child == 0:
        (cgroup.directory / "cgroup.procs").write_text(str(os.getpid()))
        for number in range(FILES):
            with open(directory / str(number), "wb", buffering=0) as file:
                file.write(b"m" * 4096)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert not status, "the files could not be made"


def measure(runs: int) -> list[Cost]:
    """The same walk again and again, while the files stay cached."""
    with disk_directory() as directory, Cgroup("bench-baseline") as cgroup:
        progress(f"{FILES} files")
        fill(cgroup, directory)
        return [cost() for _ in range(runs)]


def main() -> int:
    """Measure, print, publish."""
    costs = measure(QUICK_RUNS if options(__doc__ or "").quick else RUNS)
    files = min(each.files for each in costs)
    assert files >= FILES, f"only {files} files were walked"
    walk, whole = (statistics.median(column) for column in list(zip(*costs, strict=True))[:2])
    print(f"\n{files} cached files: walk {walk:.3f} s, first snapshot {whole:.3f} s of CPU")
    print("\nbars")
    bars = [bar(f"walk of {FILES} cached inodes", walk, BAR_SECONDS, " s")]
    figures = {"files": files, "walk_cpu_seconds": walk, "snapshot_cpu_seconds": whole}
    publish("baseline", {**figures, "runs": costs, "bars": bars})
    return 0


if __name__ == "__main__":
    sys.exit(main())
