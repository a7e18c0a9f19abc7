"""Runs in the guest: what memtrace attaches or counts only on demand, on cgroup version 2.

Who makes kernel memory grow, who touches and who dirties what another pays for, refaults by
file, the census of kernel objects, the second referee. Where a kernel cannot, that is said with
a reason and what would be told is unknown. Prints one JSON object, see `report`. Expected amounts
come from the workload or from the kernel, never from memtrace. Standard library only.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from core_workloads import (
    CGROUPS,
    DISK,
    PAGE,
    PAGES,
    QUIET_SECONDS,
    Checks,
    Memtrace,
    check_amount,
    cold,
    memory_stat,
    new_cgroup,
    read,
    report,
    row_of,
    touch,
    workload,
    write,
)
from slab_census import check_census, make_files, near

NAMES = 30011  # in one go: 6 MB of dentries, which is growth
GOES = 30
PART = 499
LARGE = 5003
LIMIT = 1024 * PAGE
DISARM_SECONDS = 60
PROGRAM = "/bin/lookups"

Row = dict[str, Any]


class Lookups:
    """tests/workloads/lookups.c in a cgroup: asks for NAMES missing names when told to."""

    def __init__(self, cgroup: Path) -> None:
        (DISK / "names").mkdir()
        command = ["/bin/sh", "-c", 'echo 0 > "$0/cgroup.procs" && exec "$@"', str(cgroup)]
        command += [PROGRAM, str(DISK / "names"), str(NAMES)]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._child.pid
        self._wait()

    def do(self) -> None:
        """Once."""
        assert self._child.stdin is not None
        self._child.stdin.write(b"m")
        self._child.stdin.flush()
        self._wait()

    def _wait(self) -> None:
        assert self._child.stdout is not None
        if self._child.stdout.readline() != b"ready\n":
            raise SystemExit("lookups failed")


def culprits(row: Row) -> dict[str, int]:
    """Dentries by process and system call."""
    return {
        f"{culprit['pid']} {culprit['comm']} {culprit['syscall']}": culprit["objects"]
        for cache in row["slab"] or []
        if cache["cache"] == "dentry"
        for culprit in cache["culprits"] or []
        if culprit["comm"] == "lookups"
    }


def check_culprits(checks: Checks, memtrace: Memtrace) -> None:
    """Growth arms; from then on each object has its culprit: the process and its system call."""
    cgroup = new_cgroup("names")
    lookups = Lookups(cgroup)
    feature = memtrace.after(time.time())["features"]["slab_culprits"]
    if not feature["enabled"]:
        lookups.do()
        row = row_of(memtrace.after(time.time() + 1), cgroup)
        checks["culprits: unknown"] = {"expected": {}, "got": culprits(row)}
        return
    for _ in range(GOES):
        lookups.do()
        snapshot = memtrace.after(time.time())
        if snapshot["slab_watch"]["armed"]:
            break
    check_amount(checks, "culprits: armed by growth", snapshot["slab_watch"]["armed"], True)
    before = culprits(row_of(memtrace.after(time.time()), cgroup))
    lookups.do()
    told = culprits(row_of(memtrace.after(time.time()), cgroup))
    grown = {who: count - before.get(who, 0) for who, count in told.items()}
    expected = {f"{lookups.pid} lookups {call}": NAMES for call in ("stat", "newfstatat")}
    checks["culprits: named, to the object"] = {
        "expected": {who: count for who, count in expected.items() if who in grown} or expected,
        "got": grown,
    }


def rewrite(path: Path) -> None:
    """Write over all there is."""
    left = path.stat().st_size
    with path.open("r+b", buffering=0) as file:
        while left:
            left -= file.write(b"w" * min(left, 1 << 20))


def file_of(snapshot: Row, cgroup: Path, path: Path) -> Row:
    """A file's row in the cgroup that pays for it."""
    rows: list[Row] = row_of(snapshot, cgroup)["files"]
    found = [row for row in rows if row["path"] == str(path)]
    return found[0] if found else dict.fromkeys(("touched_by", "dirtied_by", "refaulted_bytes"))


def users(row: Row, how: str) -> list[list[Any]] | None:
    """Cgroup, process and bytes of who used a file; None: not known."""
    if row[how] is None:
        return None
    return [[Path(user["cgroup"]).name, user["pid"], user["bytes"]] for user in row[how]]


def check_uses(checks: Checks, memtrace: Memtrace) -> None:
    """Each page once, by who used it; the user pays nothing, and the payer is no user."""
    payer, sidecar = new_cgroup("payer"), new_cgroup("sidecar")
    acts = {"read": (read, PAGES), "touch": (touch, PAGES), "rewrite": (rewrite, PART)}
    for name, (_, pages) in acts.items():
        workload(payer, read, cold(DISK / f"used-{name}", pages))
    acts["touch-large"] = (touch, LARGE)
    workload(payer, write, DISK / "used-touch-large", LARGE, LARGE * PAGE)
    paid = memory_stat(sidecar)["file"]
    pids = {name: workload(sidecar, act, DISK / f"used-{name}") for name, (act, _) in acts.items()}
    for name in acts:
        workload(payer, read, DISK / f"used-{name}")
    snapshot = memtrace.after(time.time() + QUIET_SECONDS)
    rows = {name: file_of(snapshot, payer, DISK / f"used-{name}") for name in acts}
    touched, dirtied = (snapshot["features"][name] for name in ("touchers", "dirtiers"))

    def expect(check: str, name: str, how: str, known: bool) -> None:
        used = [["sidecar", pids[name], acts[name][1] * PAGE]]
        checks[check] = {"expected": used if known else None, "got": users(rows[name], how)}

    expect("touchers: read", "read", "touched_by", touched["enabled"])
    expect("dirtiers: rewrite", "rewrite", "dirtied_by", dirtied["enabled"])
    clean = {"expected": [] if dirtied["enabled"] else None, "got": rows["read"]["dirtied_by"]}
    checks["dirtiers: read"] = clean
    check_amount(checks, "touchers: charged", memory_stat(sidecar)["file"] - paid, 0)
    for name in ("touch", "touch-large"):
        expect(f"mappers: {name}", name, "touched_by", touched["enabled"])


def check_refaults(checks: Checks, memtrace: Memtrace) -> None:
    """A file read again and again through a limit too small for it; by container everywhere."""
    cgroup = new_cgroup("thrash")
    path = cold(DISK / "large", LARGE)
    (cgroup / "memory.max").write_text(str(LIMIT))
    for _ in range(3):
        workload(cgroup, read, path)
    snapshot = memtrace.after(time.time() + QUIET_SECONDS)
    kernel = memory_stat(cgroup)["workingset_refault_file"] * PAGE
    told = file_of(snapshot, cgroup, path)["refaulted_bytes"]
    check_amount(checks, "refaults: there are", kernel >= LARGE * PAGE, True)
    cache = row_of(snapshot, cgroup)["page_cache"]
    check_amount(checks, "refaults: of the container", cache["refaulted_bytes"], kernel)
    if snapshot["features"]["refaults"]["enabled"]:
        near(checks, "refaults: of the file", told or 0, kernel)
    else:
        check_amount(checks, "refaults: of the file", told, None)


def check_disarmed(checks: Checks, memtrace: Memtrace) -> None:
    """Nobody watches allocations once nothing grows."""
    end = time.monotonic() + DISARM_SECONDS
    while memtrace.after(time.time())["slab_watch"]["armed"] and time.monotonic() < end:
        pass
    armed = memtrace.after(time.time())["slab_watch"]["armed"]
    check_amount(checks, "culprits: disarmed", armed, False)


def check_referee(checks: Checks, lacks: dict[str, str]) -> None:
    """`doctor --verify`: the ledger is the kernel's figure after each step, and the referee's."""
    for place in (DISK / "tmp", Path("/var/tmp"), Path("/dev/shm")):
        place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", DISK / "tmp", "/var/tmp"], check=True)
    command = [sys.executable, "-m", "memtrace", "doctor", "--verify", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    proof = json.loads(done.stdout.splitlines()[-1])
    wrong = [step for step in proof["steps"] if not step["ok"]]
    checks["verify: every step"] = {"expected": [], "got": wrong}
    referee = proof["second_referee"]
    counted = [step["referee_pages"] for step in proof["steps"]]
    ledger = [step["ledger_pages"] for step in proof["steps"]]
    if not referee["enabled"]:
        lacks["referee"] = referee["reason"]
        ledger = [None] * len(ledger)
    checks["referee: every step"] = {"expected": ledger, "got": counted}


def check_reasons(checks: Checks, snapshot: Row) -> None:
    """What is off says why."""
    for name in ("slab_culprits", "touchers", "dirtiers", "refaults", "slab_census"):
        feature = snapshot["features"][name]
        told = feature["enabled"] or bool(feature["reason"])
        check_amount(checks, f"reasons: {name}", told, True)


def main() -> None:
    """Start memtrace, check what it watches, end it, and ask the commands that run alone."""
    CGROUPS.mkdir()
    (CGROUPS / "cgroup.subtree_control").write_text("+memory")
    files = new_cgroup("files")
    make_files(files)
    checks: Checks = {}
    lacks: dict[str, str] = {}
    memtrace = Memtrace("--watch", "touchers,dirtiers,refaults")
    snapshot = memtrace.after(0)
    census = snapshot["features"]["slab_census"]["enabled"]
    check_reasons(checks, snapshot)
    check_culprits(checks, memtrace)
    check_uses(checks, memtrace)
    check_refaults(checks, memtrace)
    check_disarmed(checks, memtrace)
    snapshot = memtrace.after(time.time())
    checks["watching: exit"] = {"expected": 0, "got": memtrace.stop()}
    check_census(checks, files, census)
    check_referee(checks, lacks)
    report(snapshot, checks, lacks)


if __name__ == "__main__":
    main()
