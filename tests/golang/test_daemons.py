"""Debian's own programs in Go: large, linked by gcc, stripped, and built by others."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtrace.golang.binary import GoBinary, inspect_path
from memtrace.golang.gcstate import BLOCK_BYTES, GcState, decode
from memtrace.golang.refusal import State
from memtrace.golang.symbolize import Symbols
from tests.golang.process import lowest_mapping
from tests.golang.programs import said_of
from tests.golang.symbols import instruction
from tests.golang.toolchains import GoUnavailable, debian_program
from tests.outcomes import unavailable

MIB = 1 << 20
CPU_SECONDS = 0.05
PEAK = 30 * MIB
TRIES = 5

MEASURE = """
import re, sys, time
from memtrace.golang import binary

def peak():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1]) * 1024

before, start = peak(), time.process_time()
found = binary.inspect_path(sys.argv[1])
print(time.process_time() - start, peak() - before, found.state)
"""


def test_version_and_main_package_are_what_go_says(daemon: Path) -> None:
    """And everything else is found, too."""
    try:
        said = said_of(daemon)
    except GoUnavailable as error:
        unavailable(f"Go 1.19: {error}")
    binary = inspect_path(daemon)
    assert (binary.state, binary.missing) == (State.GO, {})
    assert binary.build is not None
    assert (binary.build.version, binary.build.main) == said
    assert binary.stripped is True


def test_probes_are_at_a_jump_or_a_push(daemon: Path) -> None:
    """In code of Go 1.19 at the `jbe` behind the check for stack space."""
    binary = inspect_path(daemon)
    assert binary.probes is not None
    assert binary.build is not None
    fd = os.open(daemon, os.O_RDONLY)
    symbols = Symbols(fd)
    for offset in binary.probes:
        assert (symbols.name_at(offset) or "").startswith("runtime.")
        assert symbols._elf is not None
        address = symbols._elf.address_of(offset)
        assert address is not None
        text = instruction(daemon, address)
        assert text.startswith("jbe " if binary.build.minor == 19 else "push %rbp")
    symbols.close()
    os.close(fd)


def test_a_look_costs_little(daemon: Path) -> None:
    """At most 50 ms of CPU, the least of five, and 30 MB of memory."""
    runs = []
    for _ in range(TRIES):
        command = (sys.executable, "-c", MEASURE, daemon)
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        seconds, peak, _ = said.stdout.split()
        runs.append((float(seconds), int(peak)))
    print(f"{daemon.name}: {min(runs)[0] * 1000:.1f} ms, {max(p for _, p in runs) >> 10} KiB")
    assert min(seconds for seconds, _ in runs) <= CPU_SECONDS
    assert max(peak for _, peak in runs) <= PEAK


class Prometheus:
    """It says of its own runtime what it knows, at /metrics."""

    def __init__(self, path: Path, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"127.0.0.1:{free.getsockname()[1]}"
        configuration = folder / "prometheus.yml"
        configuration.write_text("")
        options = (f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}")
        self.process = subprocess.Popen(
            (path, *options, f"--web.listen-address={self.url}"), stderr=subprocess.DEVNULL
        )

    def metrics(self) -> dict[str, float]:
        """Its metrics without labels."""
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"http://{self.url}/metrics", timeout=10) as answer:
                    lines = answer.read().decode().splitlines()
                return {k: float(v) for k, v in (ln.split(" ") for ln in lines if _plain(ln))}
            except OSError:
                time.sleep(0.1)
        raise AssertionError("prometheus does not answer")


def _plain(line: str) -> bool:
    return line.startswith("go_") and "{" not in line


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    """Running, with nothing to scrape."""
    try:
        path = debian_program("prometheus", "usr/bin/prometheus")
    except GoUnavailable as error:
        unavailable(f"prometheus: {error}")
    running = Prometheus(path, tmp_path)
    yield running
    running.process.kill()
    running.process.wait()


class Reader:
    """What memtrace reads of a process."""

    def __init__(self, pid: int) -> None:
        self.binary: GoBinary = inspect_path(f"/proc/{pid}/exe")
        self._mapped = lowest_mapping(pid)
        self._memory = Path(f"/proc/{pid}/mem")

    def read(self, address: int | None, size: int) -> bytes:
        """By link-time address."""
        assert address is not None
        with self._memory.open("rb", buffering=0) as memory:
            memory.seek(self.binary.running_at(address, self._mapped))
            return memory.read(size)

    def state(self) -> tuple[int, GcState]:
        """Collections, and gcController."""
        assert self.binary.places is not None
        assert self.binary.build is not None
        block = self.read(self.binary.places.gc_controller, BLOCK_BYTES)
        state = decode(block, self.binary.build.minor or 0)
        assert state is not None
        return int.from_bytes(self.read(self.binary.places.cycles, 4), "little"), state


def test_prometheus_says_the_same_of_itself(prometheus: Prometheus) -> None:
    """Collections, goal and heap in use are between what is read before and after it says so."""
    prometheus.metrics()
    reader = Reader(prometheus.process.pid)
    for _ in range(TRIES):
        cycles, before = reader.state()
        said = prometheus.metrics()
        cycles_after, after = reader.state()
        if cycles == cycles_after:
            break
    assert cycles <= said["go_gc_duration_seconds_count"] <= cycles_after
    assert before.heap_goal <= said["go_memstats_next_gc_bytes"] <= after.heap_goal
    assert before.total_allocated <= said["go_memstats_alloc_bytes_total"] <= after.total_allocated
    assert after.heap_in_use == pytest.approx(said["go_memstats_heap_inuse_bytes"], rel=0.1)
    assert before.gogc == 100
    assert before.memory_limit is None
    procs = reader.read(reader.binary.places and reader.binary.places.gomaxprocs, 4)
    assert int.from_bytes(procs, "little") == len(os.sched_getaffinity(0))
    assert after.mapped_ready <= resource.getpagesize() << 30
