"""What watching on demand costs the watched: CPU time of file I/O under memtrace, with and without.

Rounds interleave memtrace alone and memtrace with one thing watched; what is added is the
median over the rounds of a round's lower quartile against the same round's without. The
reader lives in one cgroup and reads its own file, and one that another cgroup pays for.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_overhead import TRACER_CPU, WORKLOAD_CPU, timed
from common import PROGRAM, Cgroup, compiled, options, progress, publish, summary

BYTES = 32 << 20
ROUNDS, QUICK_ROUNDS = 10, 3
REPEATS = 8
CASES = ("4 KiB writes", "unlink of them", "own 64 KiB reads", "foreign 64 KiB reads")
MODES = ("off", "dirtiers", "refaults", "touchers")

Samples = dict[tuple[str, str], list[list[float]]]  # (case, mode): one list per round


@contextmanager
def watching(mode: str) -> Iterator[None]:
    """A memtrace that watches this; `off`: nothing."""
    extra = [] if mode == "off" else ["--watch", mode]
    command = ["taskset", "-c", str(TRACER_CPU), PROGRAM, "top", "--json", *extra]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        assert process.stdout.readline(), "memtrace gave no first line"
        drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)
        drain.wait()


def measure(program: Path, directory: Path, reader: Cgroup) -> dict[str, list[float]]:
    """Do every case as often as a round asks for."""
    writes = [timed(program, "write", directory / "out", BYTES, 4096) for _ in range(REPEATS)]
    own, foreign = (
        [again(program, directory / name, reader) for _ in range(REPEATS)]
        for name in ("own", "foreign")
    )
    columns = ([each[0] for each in writes], [each[1] for each in writes], own, foreign)
    return dict(zip(CASES, columns, strict=True))


def again(program: Path, path: Path, reader: Cgroup) -> float:
    """Read a cached file in the reader's cgroup; milliseconds."""
    child = reader.start("taskset", "-c", str(WORKLOAD_CPU), program, "again", path, "65536")
    output, _ = child.communicate(timeout=60)
    return int(output) / 1e6


def run(rounds: int) -> Samples:
    """All rounds; each starts with another mode."""
    samples: Samples = defaultdict(list)
    with compiled() as (program, directory), Cgroup("owner") as owner, Cgroup("reader") as reader:
        for cgroup, name in ((owner, "foreign"), (reader, "own")):
            cgroup.run("dd", "if=/dev/zero", f"of={directory / name}", "bs=1M", "count=32")
            cgroup.run("sync", directory / name)
        measure(program, directory, reader)
        for number in range(rounds):
            order = MODES[number % len(MODES) :] + MODES[: number % len(MODES)]
            progress(f"round {number + 1} of {rounds}: {', '.join(order)}")
            for mode in order:
                with watching(mode):
                    for case, figures in measure(program, directory, reader).items():
                        samples[case, mode].append(figures)
    return samples


def added(samples: Samples, case: str, mode: str) -> dict[str, float]:
    """What a mode adds, in percent and in nanoseconds a page, and the noise of `off`."""
    off, ours = ([summary(each)["p25"] for each in samples[case, one]] for one in ("off", mode))
    shares = [now / before - 1 for now, before in zip(ours, off, strict=True)]
    pairs = [now - before for now, before in zip(ours, off, strict=True)]
    low, _, high = statistics.quantiles(shares, n=4, method="inclusive")
    return {
        "off_ms": statistics.median(off),
        "added_percent": 100 * statistics.median(shares),
        "quartiles_percent": 100 * (high - low),
        "added_ns_a_page": statistics.median(pairs) * 1e6 / (BYTES / 4096),
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
                f"  (quartiles {each['quartiles_percent']:.1f} %)"
                f"{each['added_ns_a_page']:+8.0f} ns a page"
            )
    publish("watch", {"megabytes": BYTES >> 20, "cases": figures})
    return 0


if __name__ == "__main__":
    sys.exit(main())
