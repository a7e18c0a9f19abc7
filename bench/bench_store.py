"""What a recording costs: CPU time to write it, bytes an hour takes, seconds until it is shown."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench_agent import crowd
from common import PROGRAM, bar, compiled, options, progress, publish, summary

from memtrace.collect.opening import open_live
from memtrace.samples import Sample
from memtrace.store.reader import Recording
from memtrace.store.writer import Writer

SAMPLES, QUICK_SAMPLES = 120, 30
HOUR = 3600
WARM_UP_SECONDS = 5.0

BAR_CPU_PERCENT = 0.2
BAR_HOUR_MB = 20.0
BAR_OPEN_SECONDS = 1.0
MEGABYTE = 1 << 20


def sampled(count: int) -> list[Sample]:
    """So many samples of this machine, a second apart."""
    with open_live() as live:
        live.sample()
        live.wait(WARM_UP_SECONDS)
        started, found = time.monotonic(), []
        for number in range(count):
            found.append(_crowd(live.sample()))
            live.wait(max(0.0, started + number + 1 - time.monotonic()))
    return found


def _crowd(sample: Sample) -> Sample:
    """The sample without what else the machine does."""
    ours = f"-{os.getpid()}-"
    kept = (each for each in sample.cgroups if ours in each.path or each.path == "/")
    return replace(sample, cgroups=tuple(kept))


def an_hour(samples: list[Sample]) -> Iterator[Sample]:
    """The samples forwards and backwards again and again, as if an hour went by."""
    there_and_back = itertools.cycle([*samples, *samples[-2:0:-1]])
    first = samples[0]
    for second, sample in zip(range(HOUR), there_and_back, strict=False):
        yield replace(sample, monotonic=first.monotonic + second, time=first.time + second)


def written(path: Path, samples: Iterator[Sample]) -> dict[str, float]:
    """Write them all; milliseconds of CPU time for each, checkpoints included."""
    writer, costs = Writer(path, "bench"), []
    for sample in samples:
        before = time.process_time()
        writer.append(sample)
        costs.append(1000 * (time.process_time() - before))
    writer.close()
    return {**summary(costs), "mean": sum(costs) / len(costs)}


def opening(path: Path) -> dict[str, float]:
    """Seconds until the command shows the last moment, and until any other one is read."""
    command, starts = [PROGRAM, "replay", path, "--json", "--at", "-0"], []
    for _ in range(5):
        started = time.monotonic()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        starts.append(time.monotonic() - started)
    with Recording(path) as recording:
        seeks = []
        for index in range(HOUR - 7, 0, -HOUR // 20):
            started = time.monotonic()
            recording.sample(index)
            seeks.append(time.monotonic() - started)
    return {
        "shown": min(starts),
        "seek_median": summary(seeks)["median"],
        "seek_worst": max(seeks),
    }


def main() -> int:
    """Measure, print, publish."""
    count = QUICK_SAMPLES if options(__doc__ or "").quick else SAMPLES
    with compiled() as (program, directory), crowd(program, directory):
        progress(f"{count} s of samples")
        samples = sampled(count)
        progress("an hour of them")
        path = directory / "hour.mtr"
        cost = written(path, an_hour(samples))
        size, opened = path.stat().st_size / MEGABYTE, opening(path)
    cgroups = len(samples[0].cgroups)
    print(f"\nan hour of {cgroups} cgroups, a second apart")
    print(f"  append           {cost['mean']:8.2f} ms of CPU time (median {cost['median']:.2f})")
    print(f"  size             {size:8.2f} MB")
    print(f"  shown after      {opened['shown']:8.2f} s")
    print(f"  seek             {opened['seek_median']:8.2f} s (worst {opened['seek_worst']:.2f})")
    print("\nbars")
    bars: list[dict[str, Any]] = [
        bar("CPU of one core at 1 s", cost["mean"] / 10, BAR_CPU_PERCENT, " %"),
        bar("an hour", size, BAR_HOUR_MB, " MB"),
        bar("the last moment of it shown", opened["shown"], BAR_OPEN_SECONDS, " s"),
    ]
    figures = {"cgroups": cgroups, "append_ms": cost, "hour_mb": size, "opening_s": opened}
    publish("store", {**figures, "bars": bars})
    return 0


if __name__ == "__main__":
    sys.exit(main())
