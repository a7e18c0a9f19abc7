"""What tracing costs the traced: CPU time of file I/O with nothing, memtrace or bpftrace attached.

Rounds interleave the three, so that drift of the machine hits all alike. The workload is
pinned to one CPU and the tracer to another; only the workload's CPU time counts, because
what runs in its context, the probes, is what its owner pays for. What is added is the median,
over the rounds, of a round's lower quartile against the same round's without a tracer.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import BPFTOOL, PROGRAM, bar, compiled, options, progress, publish, spread, summary

MEGABYTES = 32
BYTES = MEGABYTES << 20
ROUNDS, QUICK_ROUNDS = 12, 3
REPEATS, COLD_REPEATS = 12, 2  # per tracer and round
WORKLOAD_CPU = os.cpu_count() - 1 if (os.cpu_count() or 1) > 1 else 0
TRACER_CPU = 0
FREED_SECONDS = 5.0
ONE_LINER = (
    "tracepoint:filemap:mm_filemap_add_to_page_cache,"
    "tracepoint:filemap:mm_filemap_delete_from_page_cache"
    " { @[comm, args->i_ino] = count(); }"
)
TRACEFS = Path("/sys/kernel/tracing")
CASES = (
    "4 KiB writes",
    "unlink of them",
    "1 MiB writes",
    "8 writers at once",
    "cold random reads",
    "cold metadata walk",
)
WALKED_FILES, WALKED_DIRECTORIES = 50_000, 50
MODES = ("off", "memtrace", "bpftrace")

BAR_WRITES = 8.0
BAR_AGAINST_BPFTRACE = 0.45

Samples = dict[tuple[str, str], list[list[float]]]  # (case, mode): one list per round
Figures = dict[str, dict[str, float]]  # by mode


@contextmanager
def nothing() -> Iterator[None]:
    """No tracer."""
    time.sleep(0.2)
    yield


@contextmanager
def memtrace() -> Iterator[None]:
    """memtrace as a user runs it."""
    with _tracer([PROGRAM, "top", "--json"]) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), "memtrace gave no first line"
        drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        yield
        process.terminate()
        drain.wait()


@contextmanager
def bpftrace() -> Iterator[None]:
    """The one-liner people use instead."""
    command = ["bpftrace", "-e", ONE_LINER]
    if not (TRACEFS / "events").exists():
        mount = f'mount -t tracefs none {TRACEFS} && exec "$@"'
        command = ["unshare", "-m", "sh", "-c", mount, "sh", *command]
    with _tracer(command) as process:
        assert process.stdout is not None
        assert b"Attaching" in process.stdout.readline(), "bpftrace did not start"
        time.sleep(1.5)
        yield
        process.send_signal(2)
        counted = process.stdout.read()
        assert b"@[io" in counted, "bpftrace counted nothing"


@contextmanager
def _tracer(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    pinned = ["taskset", "-c", str(TRACER_CPU), *command]
    process = subprocess.Popen(pinned, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


TRACERS = {"off": nothing, "memtrace": memtrace, "bpftrace": bpftrace}


def timed(program: Path, *arguments: object, pinned: bool = True) -> list[float]:
    """Run the workload, on one CPU or on all, and return its figures in milliseconds."""
    cpus = ["taskset", "-c", str(WORKLOAD_CPU)] if pinned else []
    command = [*cpus, program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(figure) / 1e6 for figure in done.stdout.split()]


def measure(program: Path, directory: Path) -> dict[str, list[float]]:
    """Do every case as often as a round asks for."""
    out = directory / "out"
    small = [timed(program, "write", out, BYTES, 4096) for _ in range(REPEATS)]
    large = [timed(program, "write", out, BYTES, 1 << 20) for _ in range(REPEATS)]
    crowd = [timed(program, "crowd", out, BYTES, 4096, pinned=False) for _ in range(REPEATS)]
    cold = [timed(program, "random", directory / "cold") for _ in range(COLD_REPEATS)]
    walks = [walk(program, directory) for _ in range(COLD_REPEATS)]
    columns = ([each[0] for each in small], [each[1] for each in small])
    rest = [[each[0] for each in runs] for runs in (large, crowd, cold, walks)]
    return dict(zip(CASES, (*columns, *rest), strict=True))


def walk(program: Path, directory: Path) -> list[float]:
    """Look at every file of a file system that was mounted just now."""
    with mounted(directory) as place:
        return timed(program, "walk", place)


@contextmanager
def mounted(directory: Path) -> Iterator[Path]:
    """Mount the file system of many files."""
    place = directory / "mounted"
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", directory / "image", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def make_image(directory: Path) -> None:
    """Make a file system of many empty files."""
    image = directory / "image"
    with image.open("wb") as file:
        file.truncate(256 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-N", str(2 * WALKED_FILES), image], check=True)
    with mounted(directory) as place:
        for number in range(WALKED_FILES):
            below = place / str(number % WALKED_DIRECTORIES)
            below.mkdir(exist_ok=True)
            (below / str(number)).touch()


def run(rounds: int) -> Samples:
    """All rounds; each starts with another tracer."""
    samples: Samples = defaultdict(list)
    with compiled() as (program, directory):
        (directory / "cold").write_bytes(b"m" * BYTES)
        make_image(directory)
        measure(program, directory)
        for number in range(rounds):
            order = MODES[number % len(MODES) :] + MODES[: number % len(MODES)]
            progress(f"round {number + 1} of {rounds}: {', '.join(order)}")
            for mode in order:
                with TRACERS[mode]():
                    for case, figures in measure(program, directory).items():
                        samples[case, mode].append(figures)
    return samples


def figures_of(samples: Samples, case: str) -> Figures:
    """A case's figures by mode; `added` is in percent of the same round without a tracer."""
    low = {mode: [summary(each)["p25"] for each in samples[case, mode]] for mode in MODES}
    return {
        mode: {
            **summary([figure for each in samples[case, mode] for figure in each]),
            "added": statistics.median(
                100 * (ours / off - 1) for ours, off in zip(low[mode], low["off"], strict=True)
            ),
        }
        for mode in MODES
    }


def other_programs() -> int:
    """How many tracing programs somebody else has attached: they are part of "off".

    A program is listed until the kernel has freed it, a moment after it was closed.
    """
    deadline = time.monotonic() + FREED_SECONDS
    while (count := _tracing_programs()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return count


def _tracing_programs() -> int:
    listed = subprocess.run([BPFTOOL, "-j", "prog", "list"], capture_output=True, check=True)
    kinds = {"tracing", "tracepoint", "raw_tracepoint"}
    return sum(entry["type"] in kinds for entry in json.loads(listed.stdout or b"[]"))


def table(cases: dict[str, Figures]) -> None:
    """Print CPU milliseconds and what each tracer adds."""
    print(f"\nCPU time of {MEGABYTES} MB, milliseconds")
    print(f"  {'':20}{'':10}{'p25':>9}{'median':>9}{'spread':>9}{'added':>9}")
    for case, figures in cases.items():
        for mode in MODES:
            each = figures[mode]
            added = "" if mode == "off" else f"{each['added']:+8.1f}%"
            shown = f"{each['p25']:9.2f}{each['median']:9.2f}{100 * spread(each):8.1f}%{added:>9}"
            print(f"  {case if mode == 'off' else '':20}{mode:10}{shown}")


def bars(cases: dict[str, Figures]) -> list[dict[str, Any]]:
    """Hold the figures against what was promised."""
    print("\nbars")
    small, large = cases["4 KiB writes"], cases["1 MiB writes"]
    ours, theirs = small["memtrace"]["added"], small["bpftrace"]["added"]
    noise = 100 * spread(large["off"])
    return [
        bar("4 KiB writes, added CPU", ours, BAR_WRITES, " %"),
        bar("4 KiB writes, share of bpftrace's", ours / theirs, BAR_AGAINST_BPFTRACE),
        bar("1 MiB writes, added CPU against noise", large["memtrace"]["added"], noise, " %"),
    ]


def main() -> int:
    """Measure, print, publish."""
    quick = options(__doc__ or "").quick
    others = other_programs()
    if others:
        progress(f"{others} other BPF programs are attached: what they cost is part of 'off'")
    samples = run(QUICK_ROUNDS if quick else ROUNDS)
    cases = {case: figures_of(samples, case) for case in CASES}
    table(cases)
    if others := max(others, other_programs()):
        print(f"\nNOT A FIGURE: {others} other BPF programs were attached, also in 'off'")
    publish(
        "overhead",
        {
            "megabytes": MEGABYTES,
            "other_bpf_programs": others,
            "cpu_milliseconds": cases,
            "bars": bars(cases),
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
