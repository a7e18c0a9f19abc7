"""Debian's daemons while they run, as `memtrace go` shows them, against what their runtimes print.

GODEBUG=gctrace=1 makes any Go program print a line for each collection.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from memtrace.collect.go_sample import GoSamples
from memtrace.samples import GoProcess
from tests.golang.conftest import DAEMONS
from tests.golang.programs import said_of
from tests.golang.toolchains import GoUnavailable, debian_program
from tests.outcomes import unavailable

MIB = 1 << 20
SECONDS = 30.0
SETTLED = 1.0
_LINE = re.compile(
    r"^gc (\d+) @.* (\d+)->(\d+)->(\d+) MB, (\d+) MB goal,.* (\d+) P(?: \(forced\))?$", re.MULTILINE
)
_PIECE = " ms clock, "
"""In each line, and written at once: it is whole even where the line is not."""
STARTS = 5


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def containerd(home: Path) -> list[str]:
    """Without a network, and without the plugin for Kubernetes."""
    settings = home / "config.toml"
    settings.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    places = ("--root", f"{home}/root", "--state", f"{home}/state", "-a", f"{home}/socket")
    return ["-c", str(settings), *places]


def dockerd(home: Path) -> list[str]:
    """With the containerd beside it: one that it starts would print its collections, too."""
    settings = home / "daemon.json"
    settings.write_text("{}")
    network = ("--bridge=none", "--iptables=false", "--ip6tables=false")
    places = ("--data-root", f"{home}/data", "--exec-root", f"{home}/exec")
    ends = ("--pidfile", f"{home}/pid", "--host", f"unix://{home}/socket")
    beside = ("--containerd", f"{home}/containerd/socket")
    return ["--config-file", str(settings), *network, *places, *ends, *beside]


def podman(home: Path) -> list[str]:
    """Its service: the one of its commands that stays."""
    places = ("--root", f"{home}/store", "--runroot", f"{home}/run", "--tmpdir", f"{home}/tmp")
    how = ("--events-backend", "none", "--cgroup-manager", "cgroupfs", "--storage-driver", "vfs")
    return [*places, *how, "system", "service", "--time", "0", f"unix://{home}/socket"]


def prometheus(home: Path) -> list[str]:
    """With nothing to scrape."""
    settings = home / "prometheus.yml"
    settings.write_text("")
    address = f"--web.listen-address=127.0.0.1:{free_port()}"
    return [f"--config.file={settings}", f"--storage.tsdb.path={home}/data", address]


def etcd(home: Path) -> list[str]:
    """A cluster of one."""
    peers, clients = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    return [
        *("--data-dir", f"{home}/data", "--initial-cluster", f"default={peers}"),
        *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
        *("--listen-client-urls", clients, "--advertise-client-urls", clients),
    ]


OPTIONS: dict[str, Callable[[Path], list[str]]] = {
    "usr/bin/containerd": containerd,
    "usr/sbin/dockerd": dockerd,
    "usr/bin/podman": podman,
    "usr/bin/prometheus": prometheus,
    "usr/bin/etcd": etcd,
}


class TornLineError(Exception):
    """The runtime prints a collection in pieces, and the daemon wrote a line of its own between."""


class Daemon:
    """A running daemon and what its runtime prints."""

    def __init__(self, program: Path, path: str, home: Path, debug: str = "gctrace=1") -> None:
        self._log = home / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                (program, *OPTIONS[path](home)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(home), "GODEBUG": debug},
            )

    def collections(self) -> list[list[int]]:
        """Of each: its number; MB of heap when it began, when it ended and live; goal; P."""
        if self.process.poll() is not None:
            last = self._log.read_text(errors="replace").strip().rpartition("\n")[2]
            unavailable(f"it does not run here: {last}")
        return [[int(word) for word in line] for line in _LINE.findall(self._printed())]

    def _printed(self) -> str:
        return self._log.read_text(errors="replace")

    def settled(self) -> list[list[int]]:
        """Its collections once there are some, and no more for a moment. Raises TornLineError."""
        before: list[list[int]] = []
        for _ in range(int(SECONDS / SETTLED)):
            time.sleep(SETTLED)
            now = self.collections()
            if now and now == before:
                if self._printed().count(_PIECE) != len(now):
                    raise TornLineError
                return now
            before = now
        unavailable("it does not come to rest here")

    def end(self) -> None:
        """Ask it, and insist."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(path: str, home: Path, debug: str = "gctrace=1") -> Iterator[Daemon]:
    """Until the block ends."""
    try:
        program = debian_program(DAEMONS[path], path)
    except GoUnavailable as error:
        unavailable(f"{DAEMONS[path]}: {error}")
    home.mkdir(exist_ok=True)
    daemon = Daemon(program, path, home, debug)
    try:
        yield daemon
    finally:
        daemon.end()


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory with a short name, which podman and sockets need."""
    with TemporaryDirectory(prefix="memtrace-") as name:
        yield Path(name)


def shown(pid: int) -> GoProcess:
    """What `memtrace go` would show of a process now."""
    with GoSamples() as source:
        rows = [row for each in source.sample().cgroups for row in each.go or ()]
    (found,) = [row for row in rows if row.pid == pid]
    return found


def printed_and_shown(daemon_path: str, home: Path) -> tuple[list[list[int]], GoProcess]:
    """What the runtime of a daemon printed and what is shown of it, at the same time."""
    home.mkdir()
    with ExitStack() as stack:
        if daemon_path.endswith("dockerd"):
            stack.enter_context(running("usr/bin/containerd", home / "containerd", debug=""))
        process = stack.enter_context(running(daemon_path, home))
        for _ in range(5):
            printed = process.settled()
            row = shown(process.process.pid)
            if process.settled() == printed:  # none was under way, not told yet
                break
    return printed, row


@pytest.mark.parametrize("daemon_path", list(OPTIONS))
def test_a_daemon_is_shown_as_its_runtime_has_it(
    daemon: Path, daemon_path: str, home: Path
) -> None:
    """Version, main package, collections, GOMAXPROCS, and what of the heap the last one left."""
    if os.geteuid():
        unavailable("it needs root")
    try:
        version, main = said_of(daemon)
    except GoUnavailable as error:
        unavailable(f"Go 1.19: {error}")
    for attempt in range(STARTS):
        try:
            printed, row = printed_and_shown(daemon_path, home / str(attempt))
            break
        except TornLineError:
            continue
    else:
        unavailable("each of its starts tore a line of its runtime apart")
    number, _, _, live, _, procs = printed[-1]
    assert (row.state, row.version, row.main, row.stripped) == ("go", version, main, True)
    assert row.heap is not None
    assert row.heap.gc_cycles == number
    assert row.heap.gomaxprocs == procs
    assert row.heap.heap_live_bytes >= live * MIB
    assert row.heap.heap_goal_bytes >= max(4, 2 * live) * MIB
    assert row.heap.heap_in_use_bytes + row.heap.heap_idle_bytes >= row.heap.heap_live_bytes
