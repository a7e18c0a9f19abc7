"""What watching on demand costs the watched: CPU time of file I/O, watched and not, run by run.

One memtrace is attached throughout; in each round every case is run once with nothing watched
and once with each thing watched, in turn. What is added is the median of the differences
within a round. The reader lives in one cgroup and reads its own file, and one that another
cgroup pays for.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from pathlib import Path

from bench_overhead import WORKLOAD_CPU, timed
from common import Cgroup, compiled, options, progress, publish

from memtrace.collect.opening import open_live

BYTES = 32 << 20
ROUNDS, QUICK_ROUNDS = 80, 8
CASES = (
    *("4 KiB writes", "unlink of them", "own 64 KiB reads", "foreign 64 KiB reads"),
    *("foreign file mapped", "page faults of no file"),
)
MODES = ("off", "dirtiers", "refaults", "touchers")

Samples = dict[tuple[str, str], list[float]]  # (case, mode): milliseconds, one per round


def measure(program: Path, directory: Path, reader: Cgroup) -> dict[str, float]:
    """Do every case once."""
    written, unlinked = timed(program, "write", directory / "out", BYTES, 4096)
    own, foreign = directory / "own", directory / "foreign"
    steps = (("again", own, "65536"), ("again", foreign, "65536"), ("map", foreign))
    uses = [use(reader, program, *step) for step in (*steps, ("anonymous", str(BYTES)))]
    return dict(zip(CASES, (written, unlinked, *uses), strict=True))


def use(reader: Cgroup, program: Path, *what: str | Path) -> float:
    """One step in the reader's cgroup; milliseconds."""
    child = reader.start("taskset", "-c", str(WORKLOAD_CPU), program, *what)
    output, _ = child.communicate(timeout=60)
    return int(output) / 1e6


def run(rounds: int) -> Samples:
    """All rounds; each starts with another mode."""
    samples: Samples = defaultdict(list)
    with (
        compiled() as (program, directory),
        Cgroup("owner") as owner,
        Cgroup("reader") as reader,
        open_live(baseline=False) as live,
    ):
        for cgroup, name in ((owner, "foreign"), (reader, "own")):
            cgroup.run("dd", "if=/dev/zero", f"of={directory / name}", "bs=1M", "count=32")
            cgroup.run("sync", directory / name)
        for number in range(-1, rounds):  # the first one warms up
            at = number % len(MODES)
            if not number % 20:
                progress(f"round {number + 1} of {rounds}")
            for mode in MODES[at:] + MODES[:at]:
                live.watch(frozenset({mode} - {"off"}), None)
                for case, figure in measure(program, directory, reader).items():
                    if number >= 0:
                        samples[case, mode].append(figure)
            live.watch(frozenset(), None)
            live.sample()
    return samples


def added(samples: Samples, case: str, mode: str) -> dict[str, float]:
    """What a mode adds, in percent and in nanoseconds a page, with its standard error."""
    off = samples[case, "off"]
    pairs = [now - before for now, before in zip(samples[case, mode], off, strict=True)]
    low, middle, high = statistics.quantiles(pairs, n=4, method="inclusive")
    whole, page = statistics.median(off), 1e6 / (BYTES / 4096)
    error = (high - low) / 1.349 * 1.2533 / len(pairs) ** 0.5  # of a median
    return {
        "off_ms": whole,
        "added_percent": 100 * middle / whole,
        "added_ns_a_page": middle * page,
        "error_ns_a_page": error * page,
    }


def main() -> int:
    """Measure, print, publish."""
    samples = run(QUICK_ROUNDS if options(__doc__ or "").quick else ROUNDS)
    figures = {case: {mode: added(samples, case, mode) for mode in MODES[1:]} for case in CASES}
    print(f"\nCPU time of {BYTES >> 20} MB beside memtrace that watches nothing")
    for case, by_mode in figures.items():
        for mode, each in by_mode.items():
            print(
                f"  {case:22}{mode:10}{each['off_ms']:8.2f} ms{each['added_percent']:+8.1f} %"
                f"{each['added_ns_a_page']:+8.0f} +- {each['error_ns_a_page']:.0f} ns a page"
            )
    publish("watch", {"megabytes": BYTES >> 20, "cases": figures})
    return 0


if __name__ == "__main__":
    sys.exit(main())
