"""In the guest: a known number of names and files, counted by `memtrace slab`.

Part of on_demand.py. The sum is compared with memory.stat, all objects with /proc/slabinfo.
Standard library only.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from core_workloads import DISK, Checks, inside, memory_stat

FILES = 5003
NAMES = 2 * FILES
NEAR = 0.01
HELD_SLABS = 2 * 8  # of one cache, by the guest's two CPUs
CACHES = ("dentry", "radix_tree_node", "kernfs_node_cache")

Line = dict[str, Any]


def make_files(cgroup: Path) -> None:
    """FILES files, and as many names that lead nowhere."""

    def work() -> None:
        for number in range(FILES):
            (DISK / f"f{number}").touch()
            (DISK / f"missing{number}").exists()

    inside(cgroup, "files", work)


def slabinfo() -> dict[str, tuple[int, int]]:
    """Active objects by cache, and how many objects a slab has."""
    lines = Path("/proc/slabinfo").read_text().splitlines()[2:]
    return {
        name: (int(active), int(each)) for name, active, _, _, each, *_ in map(str.split, lines)
    }


def check_census(checks: Checks, cgroup: Path, enabled: bool) -> None:
    """What memtrace says against workload and kernel; where it cannot, a sentence and exit 3."""
    done = subprocess.run(
        [sys.executable, "-m", "memtrace", "slab", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    checks["census: exit"] = {"expected": 0 if enabled else 3, "got": done.returncode}
    if done.returncode:
        told = "bpf_loop" in done.stderr
        checks["census: refused with the reason"] = {"expected": True, "got": told}
        return
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    path = "/" + str(cgroup.relative_to("/sys/fs/cgroup"))
    mine = next(line for line in lines if line["cgroup"] == path)
    near(checks, "census: names", objects(mine, "dentry"), NAMES)
    near(checks, "census: inodes", objects(mine, "inode"), FILES)
    near(checks, "census: sum", mine["slab_bytes"], memory_stat(cgroup)["slab"])
    check_all_objects(checks, lines[0], lines[-1])


def check_all_objects(checks: Checks, whole: Line, nobody: Line) -> None:
    """Every cgroup's and nobody's; free places in slabs that a CPU holds are active there."""
    active = slabinfo()
    for cache in CACHES:
        got = objects(whole, cache) + objects(nobody, cache)
        count, each = active[cache]
        least, most = (1 - NEAR) * count - HELD_SLABS * each, (1 + NEAR) * count
        expected = got if least <= got <= most else [least, most]
        checks[f"census: all of {cache}"] = {"expected": expected, "got": got}


def objects(line: Line, part: str) -> int:
    """Objects of all caches with that in their name, labels of inodes apart."""
    rows = [row for row in line["slab"] if not row["cache"].startswith("lsm_")]
    return sum(row["objects"] for row in rows if part in row["cache"])


def near(checks: Checks, name: str, got: int, expected: int) -> None:
    """One figure, to 1 %."""
    alike = abs(got - expected) <= NEAR * expected
    checks[name] = {"expected": got if alike else expected, "got": got}
