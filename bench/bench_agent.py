"""What memtrace itself costs: memory, CPU and start-up, at a hundred cgroups of which some work."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from common import (
    CGROUP_ROOT,
    PROGRAM,
    Cgroup,
    bar,
    compiled,
    options,
    progress,
    publish,
    status_mb,
)

CGROUPS, ACTIVE = 100, 10
SECONDS, QUICK_SECONDS = 60, 15
STARTS, QUICK_STARTS = 7, 3
IDLE_BYTES = 1 << 20
WARM_UP_SECONDS = 5
MEGABYTE = 1 << 20
GIGABYTE = 1 << 30

BAR_RSS_MB = 40.0
BAR_CPU_PERCENT = 1.0
BAR_START = 0.5
BAR_BASELINE_START, BAR_BASELINE_PER_GIB = 1.0, 0.06


@contextmanager
def crowd(program: Path, directory: Path, active: int = ACTIVE) -> Iterator[None]:
    """A hundred cgroups with a cached file each; `active` of them write ten times a second."""
    with ExitStack() as open_cgroups:
        for number in range(CGROUPS):
            cgroup = open_cgroups.enter_context(Cgroup(f"bench-{number}"))
            path = directory / f"idle-{number}"
            size = (f"bs={IDLE_BYTES}", "count=1", "conv=fsync")  # dirty would not be idle
            cgroup.run("dd", "if=/dev/zero", f"of={path}", *size)
            if active and number % (CGROUPS // active) == 0:
                cgroup.start(program, "trickle", str(directory / f"busy-{number}"))
        yield


def maps_mb(pid: int) -> float:
    """Kernel memory of a process' BPF maps in MB, as the kernel estimates it; no part of RSS."""
    known: dict[str, int] = {}
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        lines = (line.split(":") for line in info.read_text().splitlines())
        facts = {line[0]: line[1].strip() for line in lines if len(line) == 2}
        if "map_id" in facts:
            known[facts["map_id"]] = int(facts["memlock"])
    return sum(known.values()) / MEGABYTE


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def running_cost(seconds: int) -> dict[str, float]:
    """RSS and CPU of `top --json` at its default interval."""
    process = subprocess.Popen([PROGRAM, "top", "--json"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    line = process.stdout.readline()
    drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
    time.sleep(WARM_UP_SECONDS)
    before, start = cpu_seconds(process.pid), time.monotonic()
    time.sleep(seconds)
    used, elapsed = cpu_seconds(process.pid) - before, time.monotonic() - start
    figures = {
        "rss_mb": status_mb(process.pid, "VmRSS"),
        "peak_rss_mb": status_mb(process.pid, "VmHWM"),
        "maps_mb": maps_mb(process.pid),
        "cpu_percent": 100 * used / elapsed,
        "line_kb": len(line) / 1024,
        "seconds": elapsed,
    }
    process.terminate()
    process.wait(timeout=30)
    drain.wait()
    return figures


def start_seconds(*arguments: str) -> float:
    """Seconds from the command to its first snapshot."""
    start = time.monotonic()
    command = [PROGRAM, "top", "--json", *arguments, "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), "memtrace gave no first line"
        elapsed = time.monotonic() - start
        process.terminate()
        process.stdout.read()
    return elapsed


def starts(count: int) -> dict[str, float]:
    """The median start, without and with a baseline."""
    return {
        "no_baseline": statistics.median(start_seconds("--no-baseline") for _ in range(count)),
        "baseline": statistics.median(start_seconds() for _ in range(count)),
    }


def cached_gib() -> float:
    """Page cache of the whole machine."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    amounts = {name: int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}
    return (amounts["Cached"] + amounts["Buffers"]) * 1024 / GIGABYTE


def bars(cost: dict[str, float], start: dict[str, float], gib: float) -> list[dict[str, Any]]:
    """Hold the figures against what was promised."""
    print("\nbars")
    allowed = BAR_BASELINE_START + BAR_BASELINE_PER_GIB * gib
    return [
        bar("RSS", cost["rss_mb"], BAR_RSS_MB, " MB"),
        bar("CPU of one core", cost["cpu_percent"], BAR_CPU_PERCENT, " %"),
        bar("first snapshot without baseline", start["no_baseline"], BAR_START, " s"),
        bar("first snapshot with baseline", start["baseline"], allowed, " s"),
    ]


def main() -> int:
    """Measure, print, publish."""
    quick = options(__doc__ or "").quick
    seconds, count = (QUICK_SECONDS, QUICK_STARTS) if quick else (SECONDS, STARTS)
    with compiled() as (program, directory), crowd(program, directory):
        listed = sum(1 for _ in CGROUP_ROOT.glob("**/memory.stat"))
        progress(f"{listed} cgroups, {ACTIVE} of them writing; {seconds} s of `top --json`")
        cost = running_cost(seconds)
        progress(f"{count} starts without and {count} with a baseline")
        gib, start = cached_gib(), starts(count)
    print(f"\nagent, {listed} memory cgroups, {gib:.2f} GiB of page cache")
    for name, figure in {
        **cost,
        **{f"start_{key}_s": value for key, value in start.items()},
    }.items():
        print(f"  {name:24}{figure:10.2f}")
    figures = {"cgroups": listed, "cache_gib": gib, "running": cost, "start_seconds": start}
    publish("agent", {**figures, "bars": bars(cost, start, gib)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
