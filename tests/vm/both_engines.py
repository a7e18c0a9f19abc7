"""Runs in the guest: the core workloads and a kill beside one memtrace of each engine.

With the argument "headers" the kernel's types are hidden: then BCC has its headers alone, and what
it says is compared with memory.stat. Prints what core_workloads.py's `report` does.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from core_workloads import (
    ACTS,
    CGROUPS,
    PAGES,
    QUIET_SECONDS,
    Checks,
    Memtrace,
    check_amount,
    check_drivers,
    check_exact,
    memory_stat,
    new_cgroup,
    report,
    row_of,
)
from same import differing, facts, said

ALIKE = ("write-4k", "write-1m", "write-ramfs", "read-cold", "mmap-cold", "unlink", "truncate")
ALONE = ("write-4k", "read-cold", "mmap-cold", "unlink", "reclaim", "processes")
TRIES = 3
START_SECONDS = 600  # LLVM in an emulated machine
LIMIT = 16 << 20
RECORDS = Path("/disk/oom")


class Watch:
    """A running `memtrace oom watch` with this engine."""

    def __init__(self, engine: str, label: str) -> None:
        self._records = RECORDS / label
        self._records.mkdir(parents=True)
        command = [
            sys.executable,
            "-m",
            "memtrace",
            "oom",
            "watch",
            "--json",
            "--no-baseline",
            "-v",
        ]
        command += ["--oom-dir", str(self._records), "--state-dir", str(self._records / "state")]
        self._process = subprocess.Popen(
            [*command, "--engine", engine], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert self._process.stderr is not None
        self.said = b""
        while b"watching" not in self.said:
            line = self._process.stderr.readline()
            if not line:
                raise SystemExit(f"oom watch ended: {self.said.decode()}")
            self.said += line

    def record(self) -> dict[str, Any]:
        """The first record, once it is there."""
        for _ in range(300):
            for path in self._records.glob("*.json"):
                found: dict[str, Any] = json.loads(path.read_text())
                return found
            time.sleep(0.1)
        return {}

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(2)
        self._process.wait(60)


def kill_one(name: str) -> int:
    """Have a process killed at its cgroup's limit; its pid."""
    cgroup = new_cgroup(name)
    (cgroup / "memory.max").write_text(str(LIMIT))
    pid = os.fork()
    if pid == 0:
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))
        kept = []
        while True:
            kept.append(b"x" * (1 << 20))
    os.waitpid(pid, 0)
    return pid


def check_alike(checks: Checks, label: str) -> None:
    """Do the acts beside both; everything must be the same."""
    both = [Memtrace("--no-baseline", "--engine", engine) for engine in ("libbpf", "bcc")]
    engines = [each.after(0, START_SECONDS)["engine"] for each in both]
    checks[f"{label}: engines"] = {"expected": ["libbpf", "bcc"], "got": engines}
    done = {name: new_cgroup(f"{label}-{name}") for name in ALIKE}
    for name, cgroup in done.items():
        ACTS[name](cgroup)
    for _ in range(TRIES):
        moment = time.time() + QUIET_SECONDS
        snapshots = [each.after(moment) for each in both]
        found = {}
        for name, cgroup in done.items():
            one, other = (said(row_of(each, cgroup)) for each in snapshots)
            found[f"{label}: {name}"] = differing(one, other)
        if not any(found.values()):
            break
    for name, lines in found.items():
        checks[name] = {"expected": [], "got": lines}
    added = row_of(snapshots[1], done["write-4k"])["page_cache"]["added_bytes"]
    check_amount(checks, f"{label}: the file and its metadata", added >= PAGES * 4096, True)
    checks[f"{label}: nothing lost"] = {"expected": 0, "got": sum(snapshots[1]["lost"].values())}
    for each in both:
        check_amount(checks, f"{label}: exit", each.stop(), 0)


def check_kill(checks: Checks) -> None:
    """Both records of one kill have the same facts."""
    watches = [Watch(engine, f"kill-{engine}") for engine in ("libbpf", "bcc")]
    pid = kill_one("kill")
    one, other = (watch.record() for watch in watches)
    checks["kill: victim"] = {"expected": pid, "got": one.get("victim", {}).get("pid")}
    checks["kill: facts"] = {"expected": [], "got": differing(facts(one), facts(other))}
    for watch in watches:
        watch.stop()


def check_headers(checks: Checks) -> None:
    """Without BTF: auto takes BCC, which compiles with the headers and is exact."""
    subprocess.run(["mount", "-t", "tmpfs", "none", "/sys/kernel/btf"], check=True)
    start = time.monotonic()
    alone = Memtrace()
    first = alone.after(0, START_SECONDS)
    print(f"guest: headers, first snapshot after {time.monotonic() - start:.1f} s", file=sys.stderr)
    checks["headers: engine"] = {"expected": "bcc", "got": first["engine"]}
    done = {}
    for name in ALONE:
        cgroup = new_cgroup(f"headers-{name}")
        done[name] = cgroup, ACTS[name](cgroup)
    snapshot = alone.after(time.time() + QUIET_SECONDS)
    for name, (cgroup, drivers) in done.items():
        row = row_of(snapshot, cgroup)
        check_exact(checks, f"headers: {name}", row, memory_stat(cgroup)["file"])
        check_drivers(checks, f"headers: {name}", row, drivers)
    names = [each["comm"] for each in row_of(snapshot, done["processes"][0])["processes"]]
    checks["headers: name"] = {"expected": ["busybox"], "got": names}
    checks["headers: nothing lost"] = {"expected": 0, "got": sum(snapshot["lost"].values())}
    check_amount(checks, "headers: exit", alone.stop(), 0)
    watch = Watch("auto", "headers")
    pid = kill_one("headers-kill")
    record = watch.record()
    got = [record.get("kill"), record.get("victim", {}).get("pid"), record["oom_cgroup"]["limit"]]
    checks["headers: kill"] = {"expected": ["memcg", pid, LIMIT], "got": got}
    watch.stop()
    doctor = subprocess.run(
        [sys.executable, "-m", "memtrace", "doctor"], capture_output=True, text=True, check=False
    )
    said_so = bool(re.search(r"engine +ok +bcc: libbpf would need", doctor.stdout))
    checks["headers: doctor"] = {"expected": [0, True], "got": [doctor.returncode, said_so]}


def main() -> None:
    """Check, and print the result."""
    CGROUPS.mkdir()
    (CGROUPS / "cgroup.subtree_control").write_text("+memory")
    checks: Checks = {}
    if "headers" in sys.argv:
        check_headers(checks)
    else:
        check_alike(checks, "alike")
        check_kill(checks)
    report({"features": {}}, checks, {})


if __name__ == "__main__":
    main()
