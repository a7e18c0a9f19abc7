"""What /metrics costs: two agents at once beside the same cgroups, one of them scraped.

Then how long one scrape takes at 500 cgroups, and what prometheus_client's writer would take.
"""

from __future__ import annotations

import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench_agent import cpu_seconds, crowd
from common import PROGRAM, Cgroup, bar, compiled, options, progress, publish, status_mb

SECONDS, QUICK_SECONDS = 90, 30
WARM_UP_SECONDS = 15
EVERY = 5.0
MANY = 500
ROUNDS = 15
ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"

BAR_SCRAPE_MS = 250.0
BAR_RSS_MB = 55.0


class Agent(NamedTuple):
    """A running agent."""

    process: subprocess.Popen[bytes]
    port: int

    def scrape(self) -> float:
        """Seconds until all of /metrics was there, as Prometheus asks for it."""
        headers = {"Accept": ACCEPT, "Accept-Encoding": "gzip"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/metrics", headers=headers)
        started = time.monotonic()
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
        return time.monotonic() - started

    def text(self) -> str:
        """/metrics as text."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as answer:
            text: bytes = answer.read()
        return text.decode()


@contextmanager
def agent(directory: Path) -> Iterator[Agent]:
    """An agent at its default interval of a second."""
    directory.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    where = ["--state-dir", str(directory / "state"), "--oom-dir", str(directory / "oom")]
    command = [PROGRAM, "agent", "--listen", f"127.0.0.1:{port}", *where]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield Agent(process, port)
    finally:
        process.terminate()
        process.wait(timeout=30)


def compared(directory: Path, seconds: int) -> dict[str, float]:
    """CPU and memory of an agent that is scraped, less those of one that is not."""
    with agent(directory / "silent") as silent, agent(directory / "scraped") as scraped:
        time.sleep(WARM_UP_SECONDS)
        scraped.scrape()
        before = [cpu_seconds(each.process.pid) for each in (silent, scraped)]
        began, end = time.monotonic(), time.monotonic() + seconds
        count = 0
        while time.monotonic() < end:
            scraped.scrape()
            count += 1
            time.sleep(EVERY)
        pids = [each.process.pid for each in (silent, scraped)]
        used = [cpu_seconds(pid) - was for pid, was in zip(pids, before, strict=True)]
        sizes = [status_mb(pid, "VmRSS") for pid in pids]
        elapsed = time.monotonic() - began
    return {
        "silent_cpu_percent": 100 * used[0] / elapsed,
        "scraped_cpu_percent": 100 * used[1] / elapsed,
        "cpu_ms_a_scrape": 1000 * (used[1] - used[0]) / count,
        "silent_rss_mb": sizes[0],
        "scraped_rss_mb": sizes[1],
        "scrapes": count,
    }


def at_many(directory: Path) -> dict[str, float]:
    """How long a scrape takes beside many cgroups, each with some cache."""
    with ExitStack() as stack:
        for number in range(MANY):
            cgroup = stack.enter_context(Cgroup(f"many-{number}"))
            cgroup.run(
                "dd", "if=/dev/zero", f"of={directory / f'many-{number}'}", "bs=8k", "count=1"
            )
        running = stack.enter_context(agent(directory / "many"))
        time.sleep(WARM_UP_SECONDS)
        times = []
        for _ in range(ROUNDS):
            times.append(1000 * running.scrape())
            time.sleep(1.5)
        text = running.text()
        found = re.search(r"^memtrace_self_render_seconds (\S+)$", text, re.MULTILINE)
        rss = status_mb(running.process.pid, "VmRSS")
    return {
        "cgroups": text.count("memtrace_memory_usage_bytes{"),
        "series": sum(not line.startswith("#") for line in text.splitlines()),
        "first_scrape_ms": times[0],
        "scrape_ms": statistics.median(times[1:]),
        "longest_scrape_ms": max(times[1:]),
        "render_ms": 1000 * float(found[1]) if found else float("nan"),
        "library_ms": library_ms(text),
        "rss_mb": rss,
    }


def library_ms(text: str) -> float:
    """CPU time of prometheus_client's OpenMetrics writer for the same series."""
    from prometheus_client.openmetrics.exposition import generate_latest
    from prometheus_client.parser import text_string_to_metric_families

    families = list(text_string_to_metric_families(text))

    class Registry:
        def collect(self) -> list[Any]:
            return families

    started = time.process_time()
    generate_latest(Registry())  # type: ignore[no-untyped-call]
    return 1000 * (time.process_time() - started)


def main() -> int:
    """Measure, print, publish."""
    seconds = QUICK_SECONDS if options(__doc__ or "").quick else SECONDS
    with compiled() as (program, directory):
        with crowd(program, directory):
            progress(f"two agents, one scraped every {EVERY:g} s, for {seconds} s")
            both = compared(directory, seconds)
        progress(f"{MANY} cgroups")
        many = at_many(directory)
    for name, figure in {**both, **many}.items():
        print(f"  {name:24}{figure:10.2f}")
    print("\nbars")
    bars = [
        bar("a scrape of 500 cgroups", many["scrape_ms"], BAR_SCRAPE_MS, " ms"),
        bar("RSS of a scraped agent", both["scraped_rss_mb"], BAR_RSS_MB, " MB"),
    ]
    publish("metrics", {"compared": both, "many": many, "bars": bars})
    return 0


if __name__ == "__main__":
    sys.exit(main())
