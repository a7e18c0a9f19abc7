"""Runs in the guest: swap of cgroups of version 1, whose files limit memory and swap together.

Reads through the agent's host/ and model/ alone and loads nothing. Prints one JSON object,
{check: {"expected": ..., "got": ...}}; expected figures come from the kernel's own files.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from memtrace.host.cgroupfs import CgroupReader
from memtrace.host.hierarchy import Hierarchy, find_hierarchy
from memtrace.host.meminfo import read_meminfo
from memtrace.model.snapshot import snapshot
from memtrace.samples import CgroupSample, Identity, Ledger, Sample

PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20
STOCK = 64 * (os.cpu_count() or 1) * PAGE
MOUNT, SWAP = Path("/memory"), Path("/disk/swap")
LIMIT, BOTH, ABOVE, TOUCHED = 16 * MIB, 64 * MIB, 52 * MIB, 32 * MIB
SECONDS = 10.0
USAGE, MEMSW = "memory.usage_in_bytes", "memory.memsw.usage_in_bytes"


def prepare() -> None:
    """Take the controller away from version 2, and have swap on a file."""
    Path("/sys/fs/cgroup/cgroup.subtree_control").write_text("-memory")
    MOUNT.mkdir()
    mount = ["mount", "-t", "cgroup", "-o", "memory", "none", str(MOUNT)]
    end = time.monotonic() + SECONDS
    while subprocess.run(mount, check=False).returncode:
        if time.monotonic() > end:
            raise SystemExit("version 2 keeps the memory controller")
        time.sleep(0.5)
    SWAP.write_bytes(bytes(BOTH))
    SWAP.chmod(0o600)
    subprocess.run(["mkswap", SWAP], check=True, stdout=subprocess.DEVNULL)
    os.sync()  # this kernel takes no file whose blocks are not allocated yet
    subprocess.run(["swapon", SWAP], check=True)


def limited(cgroup: Path, limit: int, both: int) -> Path:
    """A cgroup with a limit of memory, and one of memory and swap together."""
    cgroup.mkdir()
    (cgroup / "memory.limit_in_bytes").write_text(str(limit))
    (cgroup / "memory.memsw.limit_in_bytes").write_text(str(both))
    return cgroup


def touch(cgroup: Path) -> None:
    """A child in the cgroup fills more memory than its limit allows, and stays."""
    done, said = os.pipe()
    if os.fork() == 0:
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))
        kept = bytearray(os.urandom(PAGE)) * (TOUCHED // PAGE)
        os.write(said, b"x" if kept else b"")
        while True:
            time.sleep(60)
    if os.read(done, 1) != b"x":
        raise SystemExit("the workload failed")


def sampled(hierarchy: Hierarchy, paths: list[str]) -> Sample:
    """These cgroups, the first above the others, as the agent would sample them."""
    reader, cgroups, above = CgroupReader(hierarchy), [], None
    for path in paths:
        number = (MOUNT / path.lstrip("/")).stat().st_ino
        memory = reader.read(number, path)
        identity = Identity("cgroup", path)
        cgroups.append(CgroupSample(number, above, path, identity, "running", memory, Ledger()))
        above = number
    return Sample(
        0.0, 0.0, "guest", "v1", "libbpf", tuple(cgroups), swap=read_meminfo(Path("/")).swap
    )


def number(cgroup: Path, name: str) -> int:
    """One of the cgroup's files."""
    return int((cgroup / name).read_text())


def main() -> None:
    """Swap a known amount, and compare every figure with the kernel's own."""
    prepare()
    above = limited(MOUNT / "above", ABOVE, ABOVE)
    inner = limited(above / "inner", LIMIT, BOTH)
    touch(inner)
    time.sleep(4)  # memory.stat lags
    made = snapshot(sampled(find_hierarchy(Path("/")), ["/", "/above", "/above/inner"]), None, None)
    _, parent, child = (container.memory for container in made.containers)
    swapped = number(inner, MEMSW) - number(inner, USAGE)
    lines = Path("/proc/meminfo").read_text().splitlines()
    meminfo = {line.split()[0]: int(line.split()[1]) * 1024 for line in lines}
    total, free = meminfo["SwapTotal:"], meminfo["SwapFree:"]
    checks: dict[str, dict[str, Any]] = {
        "used": {"got": child.swap_bytes, "expected": swapped},
        "used, of the parent": {"got": parent.swap_bytes, "expected": swapped},
        "limit, by the parent": {"got": child.swap_limit_bytes, "expected": ABOVE - LIMIT},
        "memory limit": {"got": child.limit_bytes, "expected": LIMIT},
        "machine": {
            "got": None if made.swap is None else [made.swap.total_bytes, made.swap.used_bytes],
            "expected": [total, total - free],
        },
        "known amount": {
            "got": TOUCHED - LIMIT <= (child.swap_bytes or 0) <= TOUCHED,
            "expected": True,
        },
    }
    near = abs((child.swap_bytes or 0) - swapped) <= STOCK
    for name in ("used", "used, of the parent"):
        if near:  # the kernel charges both counters in batches
            checks[name]["expected"] = checks[name]["got"]
    print(json.dumps(checks))


if __name__ == "__main__":
    main()
