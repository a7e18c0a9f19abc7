"""What `memtrace agent` costs all day: memory, its whole cgroup, and CPU at a hundred cgroups."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench_agent import ACTIVE, cpu_seconds, crowd, maps_mb
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

SECONDS, QUICK_SECONDS = 120, 20
WARM_UP_SECONDS = 20
FEW, HARDLY_ANY, NONE = 5, 2, 0
MEGABYTE = 1 << 20

BAR_RSS_MB = 55.0
BAR_CHARGE_MB = 96.0
BAR_CPU_PERCENT = 1.0


def running(cgroup: Cgroup, directory: Path, seconds: int) -> dict[str, float]:
    """The agent at its default interval of a second, alone in `cgroup`."""
    where = ["--state-dir", str(directory / "state"), "--oom-dir", str(directory / "oom")]
    command = [PROGRAM, "agent", "--listen", "127.0.0.1:0", *where]
    process = cgroup.start(*command)
    time.sleep(WARM_UP_SECONDS)
    before, start = cpu_seconds(process.pid), time.monotonic()
    time.sleep(seconds)
    used, elapsed = cpu_seconds(process.pid) - before, time.monotonic() - start
    figures = {
        "rss_mb": status_mb(process.pid, "VmRSS"),
        "peak_rss_mb": status_mb(process.pid, "VmHWM"),
        "charge_mb": _charged(cgroup) / MEGABYTE,
        "maps_mb": maps_mb(process.pid),
        "cpu_percent": 100 * used / elapsed,
        "seconds": elapsed,
    }
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
    return figures


def _charged(cgroup: Cgroup) -> int:
    v1 = cgroup.directory / "memory.usage_in_bytes"
    return int((v1 if v1.exists() else cgroup.directory / "memory.current").read_text())


def main() -> int:
    """Measure, print, publish."""
    seconds = QUICK_SECONDS if options(__doc__ or "").quick else SECONDS
    costs, listed = {}, 0
    for active in (ACTIVE, FEW, HARDLY_ANY, NONE):
        with (
            compiled() as (program, directory),
            crowd(program, directory, active),
            Cgroup("daemon") as own,
        ):
            listed = sum(1 for _ in CGROUP_ROOT.glob("**/memory.stat"))
            progress(f"{listed} cgroups, {active} of them writing; {seconds} s of `agent`")
            costs[active] = running(own, directory, seconds)
    print(f"\nagent, {listed} memory cgroups, a sample a second")
    print(f"  {'':24}" + "".join(f"{active:4} busy" for active in costs))
    for name in costs[ACTIVE]:
        print(f"  {name:24}" + "".join(f"{cost[name]:9.2f}" for cost in costs.values()))
    print("\nbars")
    cost = costs[ACTIVE]
    bars: list[dict[str, Any]] = [
        bar("RSS", cost["rss_mb"], BAR_RSS_MB, " MB"),
        bar("charge of its cgroup", cost["charge_mb"], BAR_CHARGE_MB, " MB"),
        bar("CPU of one core", cost["cpu_percent"], BAR_CPU_PERCENT, " %"),
        *(
            bar(f"CPU, {active} busy", costs[active]["cpu_percent"], BAR_CPU_PERCENT, " %")
            for active in (FEW, HARDLY_ANY, NONE)
        ),
    ]
    publish("daemon", {"cgroups": listed, "running": costs, "bars": bars})
    return 0


if __name__ == "__main__":
    sys.exit(main())
