"""What both benchmarks share: the timed workload, the tests' harness, statistics and the report.

Judges nothing but a bar against a figure, and says so; a benchmark never fails a build.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("results.json")
sys.path.insert(0, str(ROOT))

from tests.kernel.harness.bpf import BPFTOOL  # noqa: E402
from tests.kernel.harness.cgroup import IS_V1, Cgroup  # noqa: E402
from tests.kernel.harness.cgroup import ROOT as CGROUP_ROOT  # noqa: E402
from tests.kernel.harness.files import disk_directory  # noqa: E402
from tests.kernel.harness.memtrace import PROGRAM  # noqa: E402

__all__ = [
    "BPFTOOL",
    "CGROUP_ROOT",
    "IS_V1",
    "PROGRAM",
    "Cgroup",
    "bar",
    "compiled",
    "disk_directory",
    "options",
    "progress",
    "publish",
    "spread",
    "status_mb",
    "summary",
]


def options(description: str) -> argparse.Namespace:
    """Parse the command line that every benchmark has; end when not root."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a figure")
    given = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("bench: needs root to attach to the kernel; run sudo make bench")
    return given


def progress(text: str) -> None:
    """Say on stderr what is being done."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


@contextmanager
def compiled(name: str = "io.c") -> Iterator[tuple[Path, Path]]:
    """Yield the compiled workload and a directory on a disk."""
    with disk_directory() as directory:
        source = Path(__file__).with_name(name)
        program = directory / source.stem
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source]
        subprocess.run(command, check=True)
        yield program, directory


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, lower and upper quartile of a sample."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"p25": low, "median": middle, "p75": high, "samples": len(values)}


def spread(figures: dict[str, float]) -> float:
    """The distance between the quartiles as a share of the median: what noise there is."""
    return (figures["p75"] - figures["p25"]) / figures["median"]


def status_mb(pid: int, name: str) -> float:
    """A VmXXX line of /proc/PID/status in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def bar(name: str, figure: float, limit: float, unit: str = "") -> dict[str, Any]:
    """Compare a figure with its bar, print the outcome and return it."""
    met = figure <= limit
    print(f"  {'pass' if met else 'MISS'}  {name}: {figure:.2f}{unit}, bar {limit:.2f}{unit}")
    return {"name": name, "figure": round(figure, 4), "bar": limit, "unit": unit, "met": met}


def publish(part: str, figures: dict[str, Any]) -> None:
    """Put one benchmark's figures into results.json, beside the other's."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[part] = {
        "command": " ".join(["make bench", *sys.argv[1:2]]),
        "date": time.strftime("%Y-%m-%d"),
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
        **figures,
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    progress(f"wrote {RESULTS.relative_to(ROOT)}")
