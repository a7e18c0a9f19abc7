"""The agent as a pod with half of the manifest's limit beside a hundred containers: what it takes.

    python -m tests.e2e.soak SECONDS DIRECTORY      prints one JSON object when it is over

A process of its own, so that it can run beside tests. Judges nothing.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.cri import NODE, Cri
from tests.e2e.image import image_archive
from tests.e2e.kubelet import Pod
from tests.e2e.manifests import KUBERNETES, ROOT, rendered
from tests.e2e.pod_cgroups import container_cgroup
from tests.kernel.harness.cgroup import IS_V1, ExistingCgroup
from tests.kernel.harness.containerd import IMAGE
from tests.outcomes import unavailable

PODS = 50
CONTAINERS = ("server", "sidecar")
BUSY = 10
"""Each so manieth pod has a container that replaces a file five times a second."""
IDLE = "dd if=/dev/zero of=/data/{name} bs=64k count=16; exec sleep 100000"
WRITE = (
    "while :; do dd if=/dev/zero of=/data/new bs=64k count=4; mv /data/new /data/{name};"
    " sleep 0.2; done"
)
UID = "5a5a0000-0000-4000-8000-{:012d}"
AGENT = UID.format(PODS)
NET = "10.88.0"  # another containerd of ours has pods, too
SCRAPE_SECONDS = 15.0
LIMIT = "128Mi"
"""What it requests; the manifest's limit has room for a second memtrace in its shell."""
LOST = ("memtrace_lost_events_total", "memtrace_lost_bytes_total")
WARM_SECONDS = 120.0
"""Its history of a minute fills, all names are told, and each part has done its work once."""
END_SECONDS = 180.0


class Soaked:
    """The agent's container, and what can be read of it from outside."""

    def __init__(self, cri: Cri, sandbox: str, container: str) -> None:
        self._cri = cri
        self._container = container
        self._where = f"http://{cri.address(sandbox)}:9435"
        self._cgroup = ExistingCgroup(container_cgroup(AGENT, container))
        (self.pid,) = self._pids()

    def figures(self) -> dict[str, int]:
        """Bytes: resident, charged to its cgroup, and of that anonymous and in files."""
        stat = self._cgroup.stat()
        return {
            "rss": self._resident(),
            "charge": int(self._read("memory.usage_in_bytes" if IS_V1 else "memory.current")),
            "anon": stat["total_rss" if IS_V1 else "anon"],
            "file": self._cgroup.file_bytes(),
            "kernel": int(self._read("memory.kmem.usage_in_bytes")) if IS_V1 else stat["kernel"],
        }

    def cpu_seconds(self) -> float:
        """CPU time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def limit(self) -> int:
        """Its memory limit in bytes."""
        return int(self._read("memory.limit_in_bytes" if IS_V1 else "memory.max"))

    def kills(self) -> int:
        """Processes of it that were killed for want of memory."""
        lines = self._read("memory.oom_control" if IS_V1 else "memory.events").splitlines()
        return int(dict(line.split() for line in lines)["oom_kill"])

    def lives(self) -> bool:
        """Whether it is the process that was started, and nobody killed a part of it."""
        return self._pids() == [self.pid]

    def health(self) -> dict[str, Any]:
        """What the manifest's probes are told."""
        with urllib.request.urlopen(f"{self._where}/healthz", timeout=30) as answer:
            said: dict[str, Any] = json.load(answer)
        return said

    def lost(self) -> Mapping[str, float]:
        """By where: what did not reach it, of a scrape as Prometheus makes it."""
        with urllib.request.urlopen(f"{self._where}/metrics", timeout=30) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        samples = [sample for family in families for sample in family.samples]
        return {
            sample.labels.get("where", sample.name): sample.value
            for sample in samples
            if sample.name in LOST
        }

    def _read(self, name: str) -> str:
        return (self._cgroup.directory / name).read_text()

    def _pids(self) -> list[int]:
        return [int(pid) for pid in self._read("cgroup.procs").split()]

    def _resident(self) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))


def start_pod(cri: Cri, number: int, data: Path) -> None:
    """A pod of two containers, on the host's network: 50 more devices would test the kernel."""
    sandbox = cri.run_pod("crowd", f"pod-{number}", UID.format(number), {2: {1: {1: NODE}}})
    directory = data / str(number)
    directory.mkdir(parents=True)
    for name in CONTAINERS:
        work = WRITE if number % BUSY == 0 and name == CONTAINERS[0] else IDLE
        cri.run_container(
            sandbox,
            {
                1: {1: name},
                2: {1: IMAGE},
                3: ["/bin/sh", "-c", work.format(name=name)],
                7: [{1: "/data", 2: str(directory)}],
                11: f"{name}.log",
            },
        )


def soak(directory: Path, seconds: float) -> dict[str, Any]:
    """Half of the pods are there before it, half come; then watch it for so long."""
    archive = image_archive()
    with Cri(directory / "cri", NET) as cri:
        cri.load(archive)
        for number in range(PODS // 2):
            start_pod(cri, number, directory / "data")
        pod = Pod(rendered(KUBERNETES / "base"), directory / "volumes", "node")
        pod.container["resources"]["limits"]["memory"] = LIMIT
        agent = Soaked(cri, *pod.start(cri, "memtrace-soak", AGENT))
        for number in range(PODS // 2, PODS):
            start_pod(cri, number, directory / "data")
        return watched(agent, seconds)


def watched(agent: Soaked, seconds: float) -> dict[str, Any]:
    """Look each second, scrape as Prometheus does, and ask for its health at the end."""
    series: list[dict[str, float]] = []
    lost: Mapping[str, float] = {}
    begun = time.monotonic()
    scraped = begun
    while agent.lives() and time.monotonic() < begun + seconds:
        now = {"second": time.monotonic() - begun, "cpu_seconds": agent.cpu_seconds()}
        series.append({**now, **agent.figures()})
        if time.monotonic() >= scraped + SCRAPE_SECONDS:
            lost, scraped = agent.lost(), time.monotonic()
        time.sleep(1.0)
    said = {"limit": agent.limit(), "kills": agent.kills(), "lives": agent.lives(), "lost": lost}
    return {**said, "series": series, "health": agent.health() if said["lives"] else None}


class Soaking:
    """A soak beside us. End it in any case."""

    def __init__(self, directory: Path, seconds: float) -> None:
        """Start it, with its files below `directory`, on a disk."""
        self._said = directory / "said"
        command = [sys.executable, "-m", "tests.e2e.soak", f"{seconds}", directory]
        with self._said.open("wb") as said, (directory / "errors").open("wb") as errors:
            self._process = subprocess.Popen(command, stdout=said, stderr=errors, cwd=ROOT)
        self._errors = directory / "errors"

    def result(self) -> dict[str, Any]:
        """What it came to, when it is over."""
        status = self._process.wait()
        errors = self._errors.read_text()
        if "Unavailable: unavailable: " in errors:
            unavailable(errors.rpartition("unavailable: ")[2].strip())
        assert status == 0, errors
        said: dict[str, Any] = json.loads(self._said.read_text())
        return said

    def end(self) -> None:
        """Have its containers removed, if it still goes on."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(END_SECONDS)


def _warm(series: list[dict[str, float]]) -> list[dict[str, float]]:
    """Without the first minutes, or of a longer run the first third: its tables fill."""
    begin = max(WARM_SECONDS, series[-1]["second"] / 3)
    return [each for each in series if each["second"] >= begin]


def cpu_percent(series: list[dict[str, float]]) -> float:
    """Of one core, once it is warm."""
    warm = _warm(series)
    used, passed = (warm[-1][key] - warm[0][key] for key in ("cpu_seconds", "second"))
    return 100 * used / passed


def flat(series: list[dict[str, float]]) -> tuple[float, float]:
    """Resident bytes, medians of the first and of the second half after warming up."""
    warm = [each["rss"] for each in _warm(series)]
    half = len(warm) // 2
    return statistics.median(warm[:half]), statistics.median(warm[half:])


def main() -> None:
    """Say what it came to."""
    print(json.dumps(soak(Path(sys.argv[2]), float(sys.argv[1]))))


if __name__ == "__main__":
    main()
