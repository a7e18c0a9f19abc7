"""Runs in the guest: a known number of names and files, counted by `memtrace slab`.

Prints one JSON object: what memtrace said of the cgroup and of nobody, the kernel's own figures
of the same moment, or memtrace's exit code and words where it could not. Standard library only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FILES = 5003
CGROUPS = Path("/sys/fs/cgroup")
MINE = CGROUPS / "memtrace-test-slab"
PLACE = Path("/disk" if os.path.ismount("/disk") else "/tmp")
NAMES = 2 * FILES if PLACE.name == "disk" else FILES  # tmpfs keeps no missing names
QUIET_SECONDS = 3  # memory.stat may lag by two


def make_files() -> None:
    """FILES files, and as many names that lead nowhere, in a child inside the cgroup."""
    child = os.fork()
    if child == 0:
        (MINE / "cgroup.procs").write_text(str(os.getpid()))
        for number in range(FILES):
            (PLACE / f"f{number}").touch()
            (PLACE / f"missing{number}").exists()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit("the workload failed")


def slabinfo() -> dict[str, tuple[int, int]]:
    """Active objects by cache, and how many objects a slab has."""
    lines = Path("/proc/slabinfo").read_text().splitlines()[2:]
    return {
        name: (int(active), int(each)) for name, active, _, _, each, *_ in map(str.split, lines)
    }


def answer() -> dict[str, Any]:
    """What memtrace says, and what the kernel says."""
    done = subprocess.run(
        [sys.executable, "-m", "memtrace", "slab", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return {"exit": done.returncode, "error": done.stderr}
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    figures = dict(line.split() for line in (MINE / "memory.stat").read_text().splitlines())
    return {
        "exit": 0,
        "mine": next(line for line in lines if line["cgroup"] == f"/{MINE.name}"),
        "whole": lines[0],
        "nobody": lines[-1],
        "slab": int(figures["slab"]),
        "slabinfo": slabinfo(),
    }


def main() -> None:
    """Prepare, work, ask."""
    (CGROUPS / "cgroup.subtree_control").write_text("+memory")
    MINE.mkdir()
    make_files()
    time.sleep(QUIET_SECONDS)
    print(json.dumps({"files": FILES, "names": NAMES, "release": os.uname().release, **answer()}))


main()
