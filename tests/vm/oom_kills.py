"""Runs in the guest: kills of every kind on cgroup version 2, beside a `memtrace oom watch`.

Prints one JSON object: what core_workloads.py's `report` prints, and the records themselves.
Expected values come from the workload or from the kernel's own files. Standard library only.
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

CGROUPS = Path("/sys/fs/cgroup/memtrace-test-oom")
RECORDS = Path("/disk/oom")
MIB = 1 << 20
LIMIT = 16 * MIB
REFUSAL = "kills cannot be captured here: "
SECONDS = 10  # for a record to be on disk: without KVM everything takes long

Record = dict[str, Any]
Checks = dict[str, dict[str, Any]]


def new(name: str, **files: str) -> Path:
    """A cgroup with these files of it set; two underscores stand for a dot."""
    cgroup = CGROUPS / name
    cgroup.mkdir()
    for key, value in files.items():
        (cgroup / key.replace("__", ".")).write_text(value)
    return cgroup


def start(cgroup: Path, work: Callable[[], object], adj: int = 0) -> int:
    """A child in the cgroup."""
    pid = os.fork()
    if pid == 0:
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))
        Path("/proc/self/oom_score_adj").write_text(str(adj))
        work()
        os._exit(0)
    return pid


def eat() -> None:
    """Take memory until the end."""
    kept = []
    while True:
        kept.append(b"x" * MIB)


def sleep() -> None:
    """Be there."""
    time.sleep(300)


def signals(*pids: int) -> list[int]:
    """What each child died of."""
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def records(count: int) -> list[Record]:
    """The records on disk, once there are so many."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if len(list(RECORDS.glob("*.json"))) >= count:
            break
        time.sleep(0.1)
    return [json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))]


def facts(record: Record) -> Record:
    """What a kill was, in brief."""
    return {
        "kill": record["kill"],
        "victims": sorted(victim["pid"] for victim in record["victims"]),
        "cgroup": record["oom_cgroup"]["path"],
        "limit": record["oom_cgroup"]["limit"],
    }


def expect(
    checks: Checks, name: str, kill: str, victims: list[int], cgroup: Path, **limit: Any
) -> None:
    """One more record, with these facts."""
    made = records(len(checks) + 1)
    path = "/" + str(cgroup.relative_to("/sys/fs/cgroup"))
    expected = {"kill": kill, "victims": sorted(victims), "cgroup": path, **limit}
    checks[name] = {"expected": expected, "got": facts(made[-1]) if made else None}


def act(checks: Checks) -> None:
    """Each kind of kill, one after the other."""
    own = new("own", memory__max=str(LIMIT))
    victim = start(own, eat)
    signals(victim)
    expect(checks, "own limit", "memcg", [victim], own, limit=LIMIT)

    pod = new("pod", memory__max=str(LIMIT), cgroup__subtree_control="+memory")
    inner = new("pod/container")
    victim = start(inner, eat)
    signals(victim)
    expect(checks, "limit above", "pod", [victim], pod, limit=LIMIT)

    group = new("group", memory__max=str(LIMIT), memory__oom__group="1")
    victims = [start(group, sleep), start(group, sleep), start(group, eat)]
    signals(*victims)
    expect(checks, "group kill", "memcg", victims, group, limit=LIMIT)

    killed = new("killed", memory__max=str(LIMIT))
    victims = [start(killed, sleep) for _ in range(3)]
    time.sleep(0.5)
    (killed / "cgroup.kill").write_text("1")
    signals(*victims)
    expect(checks, "cgroup.kill", "userspace", victims, killed, limit=LIMIT)


def plain(checks: Checks) -> None:
    """kill -9 and processes that end by the dozen are no business of the OOM killer."""
    cgroup = new("plain", memory__max=str(LIMIT))
    before = len(records(0))
    pids = [start(cgroup, sleep) for _ in range(20)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    signals(*pids)
    signals(*(start(cgroup, lambda: os._exit(0)) for _ in range(50)))
    time.sleep(2)
    checks["plain kills"] = {"expected": before, "got": len(records(0))}


def whole_machine(checks: Checks, watching: subprocess.Popen[bytes]) -> None:
    """All memory taken by a cgroup without a limit: memtrace lives and tells."""
    before = len(records(0))
    free = new("free")
    victim = start(free, eat, adj=1000)
    signals(victim)
    record = records(before + 1)[-1]
    checks["whole machine"] = {
        "expected": {"kill": "node", "victims": [victim], "cgroup": "/", "alive": True},
        "got": {
            key: value
            for key, value in {**facts(record), "alive": watching.poll() is None}.items()
            if key != "limit"
        },
    }


def counted() -> int:
    """Processes that the kernel's OOM killer ended since boot."""
    lines = Path("/proc/vmstat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def tell(feature: Record, checks: Checks, records: list[Record]) -> None:
    """Print the result."""
    features = {"oom": feature}
    print(json.dumps({"features": features, "lacks": {}, "checks": checks, "records": records}))


def main() -> None:
    """Watch, kill, compare, and print the result; where kills cannot be captured, the reason."""
    CGROUPS.mkdir()
    (CGROUPS / "cgroup.subtree_control").write_text("+memory")
    older = new("older", memory__max=str(LIMIT))
    command = ["python3", "-m", "memtrace", "oom", "watch", "--json", "--oom-dir", str(RECORDS)]
    watching = subprocess.Popen(
        [*command, "--state-dir", "/disk/state", "-v"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert watching.stderr is not None
    first = watching.stderr.readline().decode().strip()
    print("guest:", first, file=sys.stderr)
    if REFUSAL in first:
        reason = first.partition(REFUSAL)[2].rstrip(".")
        refused = {"expected": 3, "got": watching.wait(30)}
        tell({"enabled": False, "reason": reason}, {"refused": refused}, [])
        return
    Path(f"/proc/{watching.pid}/oom_score_adj").write_text("-999")
    checks: Checks = {}
    victim = start(older, eat)
    signals(victim)
    expect(checks, "older than memtrace", "memcg", [victim], older, limit=LIMIT)
    act(checks)
    plain(checks)
    whole_machine(checks, watching)
    made = records(0)
    told = [len(each["victims"]) for each in made if each["source"] == "kernel"]
    twice = sum(victims > 1 for victims in told)  # the kernel counts a group's first victim again
    checks["as many as the kernel counts"] = {"expected": counted() - twice, "got": sum(told)}
    watching.send_signal(signal.SIGINT)
    checks["oom watch"] = {"expected": 0, "got": watching.wait(30)}
    tell({"enabled": True, "reason": ""}, checks, made)


if __name__ == "__main__":
    main()
