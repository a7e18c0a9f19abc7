#!/usr/bin/env python3
"""What each engine costs: time to the first line of `top --json`, memory, and BCC's child's peak.

Pairs of starts, libbpf and BCC in turn; medians and least. Prints JSON; see docs/overhead.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from memtrace.kernel.engines import BCC, LIBBPF, choose
from memtrace.kernel.plan import QUESTIONS
from memtrace.kernel.support import kernel_facts

PROGRAM = Path(sys.prefix) / "bin" / "memtrace"
LINES = 3


def started(engine: str) -> tuple[float, float, int]:
    """Seconds until the first line, of them CPU time, and KiB resident after LINES lines.

    CPU time is memtrace's own and that of its child, on whichever CPU.
    """
    command = [PROGRAM, "top", "--no-baseline", "--engine", engine, "--json", "0.5"]
    begin = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        seconds, busy = time.monotonic() - begin, cpu_seconds(running.pid)
        for _ in range(LINES - 1):
            running.stdout.readline()
        status = Path(f"/proc/{running.pid}/status").read_text()
        running.terminate()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return seconds, busy, int(resident.split()[1])


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its ended children so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def child_peak() -> int:
    """KiB that the compiling child needed at most."""
    choose(BCC, kernel_facts(QUESTIONS)).engine().open("page_cache")
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Measure both engines' start and memory.")
    parser.add_argument("--quick", action="store_true", help="3 pairs instead of 15")
    options = parser.parse_args()
    found: dict[str, list[tuple[float, float, int]]] = {LIBBPF: [], BCC: []}
    peak = child_peak()
    for _ in range(3 if options.quick else 15):
        for engine, runs in found.items():
            runs.append(started(engine))
    figures = {
        engine: {
            "start_seconds": round(statistics.median(run[0] for run in runs), 3),
            "start_seconds_least": round(min(run[0] for run in runs), 3),
            "start_cpu_seconds": round(statistics.median(run[1] for run in runs), 3),
            "start_cpu_seconds_least": round(min(run[1] for run in runs), 3),
            "rss_kib": statistics.median(run[2] for run in runs),
        }
        for engine, runs in found.items()
    }
    print(json.dumps({**figures, "child_peak_kib": peak}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
