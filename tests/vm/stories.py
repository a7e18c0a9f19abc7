"""Runs in the guest: swap in use (S6), and a node that two containers without limits fill (S2).

Prints one JSON object: what explain said of each, the record of the kill, and the figures of the
kernel and of the workloads that both are compared with. Standard library only.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CGROUPS = Path("/sys/fs/cgroup")
RECORDS = Path("/disk/oom")
SWAP = Path("/disk/swap")
RECORDING = Path("/disk/node.mtr")
MIB = 1 << 20
SWAP_MIB, SWAP_LIMIT, SWAPPED_LIVE = 96, 64, 104
BLOBS, BLOB_MIB = 2, 60
KUBELET_MIB = 32
CRITICAL = "-997"
"""What the kubelet gives to containers of node-critical pods, so that others go first."""
WATCHED = "3s"
STEP_MIB = 8
SHORT, HELD = 0.075, 8.0
"""Of its memory: below a tenth the node is short. Seconds for which it stays so."""
LIMIT = "memory limit"
SECONDS = 150

Said = dict[str, Any]


def say(words: str) -> None:
    """Tell the console how far it is."""
    print(f"guest: {time.monotonic():.0f} s: {words}", file=sys.stderr)


def cgroup(path: str, **files: str) -> Path:
    """A cgroup with these files of it set; two underscores stand for a dot."""
    made = CGROUPS / path
    for above in reversed(made.relative_to(CGROUPS).parents):
        directory = CGROUPS / above
        directory.mkdir(exist_ok=True)
        (directory / "cgroup.subtree_control").write_text("+memory")
    made.mkdir()
    for key, value in files.items():
        (made / key.replace("__", ".")).write_text(value)
    return made


class Service:
    """A Go program in a cgroup, told what to do a line at a time."""

    def __init__(self, place: Path, *command: str, adj: str = "0", **settings: str) -> None:
        enter = (
            f'echo 0 > {place}/cgroup.procs && echo {adj} > /proc/self/oom_score_adj && exec "$@"'
        )
        self.child = subprocess.Popen(
            ["/bin/sh", "-c", enter, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **settings},
        )
        self.greeting = self.line()

    def line(self) -> str:
        """What it says next; "" when it is gone."""
        assert self.child.stdout is not None
        return self.child.stdout.readline().decode().strip()

    def order(self, words: str) -> str:
        """Have something done."""
        assert self.child.stdin is not None
        try:
            os.write(self.child.stdin.fileno(), f"{words}\n".encode())
        except BrokenPipeError:
            return ""
        return self.line()

    def end(self) -> None:
        """Kill it."""
        self.child.kill()
        self.child.wait()


def explain(place: Path, *more: str) -> Said:
    """What memtrace says of a cgroup; `more` arguments may name a recording."""
    path = "/" + str(place.relative_to(CGROUPS))
    command = ["python3", "-m", "memtrace", "explain", path, "--for", WATCHED, "--json", *more]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a terminal, where it would tell how far it is
        timeout=SECONDS,
        check=True,
    )
    say(f"explained {path}")
    said: Said = json.loads(done.stdout)
    return said


def number(place: Path, name: str) -> int:
    """One of the cgroup's files."""
    return int((place / name).read_text())


def figures(place: Path) -> dict[str, int]:
    """The kernel's own figures of a cgroup."""
    stat = dict(line.split() for line in (place / "memory.stat").read_text().splitlines())
    return {
        "usage": number(place, "memory.current"),
        "swap": number(place, "memory.swap.current"),
        **{name: int(stat[name]) for name in ("anon", "file")},
    }


def use_swap() -> Said:
    """A program under a limit below what it keeps, and swap for the rest."""
    SWAP.write_bytes(bytes(SWAP_MIB * MIB))
    SWAP.chmod(0o600)
    os.sync()
    subprocess.run(["mkswap", SWAP], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["swapon", SWAP], check=True)
    place = cgroup("swapping", memory__max=str(SWAP_LIMIT * MIB))
    pid = keeper(place, "swapping", SWAPPED_LIVE)
    until(lambda: sum(figures(place)[name] for name in ("anon", "swap")) > SWAPPED_LIVE * MIB)
    said = explain(place, "--no-baseline")  # nothing of this is about files
    kernel = figures(place)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    subprocess.run(["swapoff", SWAP], check=True)
    SWAP.unlink()
    return {"said": said, "kernel": kernel}


def keeper(place: Path, name: str, mib: int) -> int:
    """A process of that name in a cgroup that keeps so much."""
    pid = os.fork()
    if pid == 0:
        (place / "cgroup.procs").write_text("0")
        Path("/proc/self/oom_score_adj").write_text("0")
        Path("/proc/self/comm").write_text(name)
        kept = bytearray(os.urandom(4096)) * (mib * MIB // 4096)
        while kept:
            time.sleep(60)
    return pid


def kubelet() -> int:
    """One of that name in its unit."""
    place = CGROUPS / "system.slice/kubelet.service"
    if not place.exists():
        cgroup("system.slice/kubelet.service")
    return keeper(place, "kubelet", KUBELET_MIB)


def mirror() -> tuple[Path, Service]:
    """A cache without a limit: a mirror that has served blobs."""
    place = cgroup("kubepods/mirror")
    service = Service(place, "/bin/serve", "/disk", adj=CRITICAL)
    for blob in range(BLOBS):
        name = f"layer-{blob}"
        with open(f"/disk/{name}", "wb") as handle:
            for _ in range(BLOB_MIB):
                handle.write(bytes(MIB))
            handle.flush()
            os.fsync(handle.fileno())
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        url = f"http://127.0.0.1:{service.greeting}/sendfile/{name}"
        subprocess.run(["wget", "-q", "-O", "/dev/null", url], check=True, timeout=SECONDS)
    return place, service


def until(found: Callable[[], Any]) -> Any:
    """Wait for something to be there; None when it does not come."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.1)
    return None


def first_record() -> Said | None:
    """The record of the first kill, once it is on disk."""
    paths = sorted(RECORDS.glob("*.json"))
    return json.loads(paths[0].read_text()) if paths else None


def left() -> float:
    """The share of the machine's memory that is free or in files nobody uses."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    known = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return (known["MemFree"] + known["Inactive(file)"]) / known["MemTotal"]


class Hog:
    """A container without a limit, whose service keeps more and more."""

    def __init__(self, **limits: str) -> None:
        self.place = cgroup("kubepods/hog", **limits)
        self.service = Service(self.place, "/bin/service", adj=CRITICAL, GOMAXPROCS="128")
        self.kept = 0

    def grow(self) -> bool:
        """Keep another step; False when it did not survive that."""
        self.kept += STEP_MIB
        return bool(self.service.order(f"encoders {STEP_MIB} {self.kept // STEP_MIB}"))

    def end(self) -> None:
        """Kill it, and its cgroup."""
        self.service.end()
        until(lambda: not (self.place / "cgroup.procs").read_text())
        self.place.rmdir()


def watch_kills() -> subprocess.Popen[bytes]:
    """memtrace beside it, which records kills."""
    command = ["python3", "-m", "memtrace", "oom", "watch", "--json", "--oom-dir", str(RECORDS)]
    watching = subprocess.Popen(
        [*command, "--state-dir", "/disk/state", "-v"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert watching.stderr is not None
    say(watching.stderr.readline().decode().strip())
    Path(f"/proc/{watching.pid}/oom_score_adj").write_text("-999")
    return watching


def record() -> subprocess.Popen[bytes]:
    """A recording beside it: explaining at the moment would take memory that the node lacks."""
    command = ["python3", "-m", "memtrace", "record", RECORDING, "1", "--no-baseline"]
    recording = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if not until(RECORDING.exists):
        raise SystemExit("record does not begin")
    return recording


def died(pid: int) -> bool:
    """Whether a child of ours has ended."""
    return os.waitpid(pid, os.WNOHANG)[0] != 0


def fill_the_node() -> Said:
    """S2: recorded when the node is short, then the kubelet is killed, and that is told."""
    watching, victim = watch_kills(), kubelet()
    _, server = mirror()
    recording, hog = record(), Hog()
    while left() > SHORT:
        hog.grow()
        time.sleep(0.1)
    say(f"the node is short, {hog.kept} MiB are kept")
    time.sleep(HELD)
    kernel, held = figures(hog.place), not died(victim)
    recording.send_signal(signal.SIGINT)
    recording.wait(SECONDS)
    while not died(victim) and hog.grow():
        time.sleep(0.2)
    say(f"the node is out of memory, {hog.kept} MiB are kept")
    told, kept = until(first_record), hog.kept
    hog.end()
    said = explain(CGROUPS / "kubepods/hog", "--from", str(RECORDING))
    say(said["verdict"]["claim"])
    advice = {each["setting"]: each["to"] for each in said["verdict"]["advice"]}
    limit = advice.get(LIMIT, 0)
    spared, bounded = kubelet(), Hog(memory__max=str(limit))
    while bounded.grow():
        time.sleep(0.1)
    bounded.end()
    server.end()
    watching.send_signal(signal.SIGINT)
    return {
        "said": said,
        "kernel": kernel,
        "held": held,
        "record": told,
        "victim": victim,
        "kept": kept * MIB,
        "limit": limit,
        "spared": not died(spared),
        "watch": watching.wait(SECONDS),
    }


def main() -> None:
    """Both, one after the other: the node has no swap when it is filled."""
    Path("/proc/self/oom_score_adj").write_text("-999")
    swapped = use_swap()
    print(json.dumps({"swap": swapped, "node": fill_the_node()}))


if __name__ == "__main__":
    main()
