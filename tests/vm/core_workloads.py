"""Runs in the guest: the core workloads in cgroups of version 2, beside a live memtrace.

Prints one JSON object, see `report`. Expected amounts come from the workload or from
memory.stat, never from memtrace. Standard library only.
"""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")
PAGES = 1021
KEPT = 211
LIMIT = 8 << 20
OVER_LIMIT_PAGES = 4 * LIMIT // PAGE + 3
QUIET_SECONDS = 4
CGROUPS = Path("/sys/fs/cgroup/memtrace-test-core")
PROGRAM = Path("/bin/busybox")
DISK, TMPFS, HUGETLBFS = Path("/disk"), Path("/tmp"), Path("/huge")
HUGE, HUGE_PAGES = 2 << 20, 7

Checks = dict[str, dict[str, Any]]
Driver = tuple[str, str, int]  # kind, path, bytes
Act = Callable[[Path], list[Driver]]


# -- what a workload is made of: each runs in a child of its own, inside the cgroup ----------


def inside(cgroup: Path, name: str, work: Callable[[], object]) -> int:
    """Run `work` in a child that is in the cgroup and goes by that name; its pid."""
    child = os.fork()
    if child == 0:
        try:
            (cgroup / "cgroup.procs").write_text(str(os.getpid()))
            Path("/proc/self/comm").write_text(name)
            work()
            os._exit(0)
        except BaseException as error:
            print(f"{name}: {error!r}", file=sys.stderr)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"workload {name} failed in {cgroup}")
    return child


def write(path: Path, pages: int, block: int) -> None:
    """Write a file with calls of `block` bytes."""
    left = pages * PAGE
    with path.open("wb", buffering=0) as file:
        while left:
            left -= file.write(b"m" * min(block, left))


def read(path: Path) -> None:
    """Read a file with calls of 64 KiB: not behind its end, where old kernels cache a page."""
    left = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        while left:
            left -= len(file.read(min(left, 65536)))


def touch(path: Path) -> None:
    """Fault in a file through a mapping."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapping:
        for at in range(0, len(mapping), PAGE):
            mapping[at]


def cold(path: Path, pages: int) -> Path:
    """A file on the disk that is not in the cache."""
    write(path, pages, 1 << 20)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


def workload(cgroup: Path, function: Callable[..., None], *arguments: Any) -> int:
    """Run one of the above in the cgroup, named after itself; its pid."""
    return inside(cgroup, function.__name__, lambda: function(*arguments))


# -- the acts: each in a cgroup of its own, returning the drivers there must be --------------


def write_4k(cgroup: Path) -> list[Driver]:
    """4 KiB a call."""
    workload(cgroup, write, DISK / "write-4k", PAGES, PAGE)
    return [("write", f"{DISK}/write-4k", PAGES * PAGE)]


def write_1m(cgroup: Path) -> list[Driver]:
    """1 MiB a call."""
    workload(cgroup, write, DISK / "write-1m", PAGES, 1 << 20)
    return [("write", f"{DISK}/write-1m", PAGES * PAGE)]


def write_ramfs(cgroup: Path) -> list[Driver]:
    """A file system that lives in the page cache alone."""
    workload(cgroup, write, Path("/ram/out"), PAGES, PAGE)
    return [("write", "/ram/out", PAGES * PAGE)]


def read_cold(cgroup: Path) -> list[Driver]:
    """Sequential read."""
    workload(cgroup, read, cold(DISK / "read", PAGES))
    return [("read", f"{DISK}/read", PAGES * PAGE)]


def mmap_cold(cgroup: Path) -> list[Driver]:
    """Page faults."""
    workload(cgroup, touch, cold(DISK / "mmap", PAGES))
    return [("mmap", f"{DISK}/mmap", PAGES * PAGE)]


def unlink(cgroup: Path) -> list[Driver]:
    """Write and remove."""
    workload(cgroup, write, DISK / "unlink", PAGES, 1 << 20)
    os.unlink(DISK / "unlink")
    return []


def truncate(cgroup: Path) -> list[Driver]:
    """Write and cut in the middle of a page."""
    workload(cgroup, write, DISK / "truncate", PAGES, 1 << 20)
    os.truncate(DISK / "truncate", KEPT * PAGE - 1000)
    return [("write", f"{DISK}/truncate", PAGES * PAGE)]


def reclaim(cgroup: Path) -> list[Driver]:
    """Read four times the limit."""
    path = cold(DISK / "reclaim", OVER_LIMIT_PAGES)
    (cgroup / "memory.max").write_text(str(LIMIT))
    workload(cgroup, read, path)
    return []


def tmpfs(cgroup: Path) -> list[Driver]:
    """Shared memory."""
    workload(cgroup, write, TMPFS / "shmem", PAGES, 65536)
    return []


def hugetlb(cgroup: Path) -> list[Driver]:
    """Huge pages, charged like any memory: no page cache all the same."""
    subprocess.run(["mount", "-o", "remount,memory_hugetlb_accounting", "/sys/fs/cgroup"])
    Path("/proc/sys/vm/nr_hugepages").write_text(str(HUGE_PAGES))
    HUGETLBFS.mkdir()
    subprocess.run(["mount", "-t", "hugetlbfs", "hugetlbfs", HUGETLBFS], check=True)
    with (HUGETLBFS / "file").open("wb") as file:
        os.truncate(file.fileno(), HUGE_PAGES * HUGE)
    workload(cgroup, touch, HUGETLBFS / "file")
    return []


def more(cgroup: Path) -> list[Driver]:
    """Add to, and remove from, what the baseline found: run in an older cgroup."""
    workload(cgroup, write, DISK / "more", KEPT, PAGE)
    os.unlink(DISK / "older-gone")
    return [("write", f"{DISK}/more", KEPT * PAGE)]


def processes(cgroup: Path) -> list[Driver]:
    """A process that becomes another program, and ends."""

    def work() -> None:
        write(DISK / "named", KEPT, PAGE)
        os.execv(PROGRAM, [PROGRAM.name, "true"])

    inside(cgroup, "first-name", work)
    return [("write", f"{DISK}/named", KEPT * PAGE)]


ACTS: dict[str, Act] = {
    act.__name__.replace("_", "-"): act
    for act in (
        write_4k,
        write_1m,
        write_ramfs,
        read_cold,
        mmap_cold,
        unlink,
        truncate,
        reclaim,
        tmpfs,
        hugetlb,
        processes,
        more,
    )
}


# -- memtrace beside them --------------------------------------------------------------------


class Memtrace:
    """A running `memtrace top --json 1`, with these options; keeps its latest line."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "memtrace", "top", "--json", *options, "1"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.pid = self._process.pid
        self._line = b""
        self._arrived = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def after(self, moment: float, timeout: float = 60) -> dict[str, Any]:
        """The first snapshot taken after a moment."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with self._arrived:
                if self._line:
                    snapshot: dict[str, Any] = json.loads(self._line)
                    if snapshot["time"] >= moment:
                        return snapshot
                self._arrived.wait(1)
            if self._process.poll() is not None:
                break
        raise SystemExit(f"no snapshot from memtrace (exit {self._process.poll()})")

    def stop(self) -> int:
        """Ctrl-C; return the exit code."""
        self._process.send_signal(2)
        code = self._process.wait(30)
        self._reader.join(30)  # a thread that is still there at exit needs libgcc_s to end
        return code

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._arrived:
                self._line = line
                self._arrived.notify_all()


def memory_stat(cgroup: Path) -> dict[str, int]:
    """The kernel's own figures."""
    lines = (cgroup / "memory.stat").read_text().splitlines()
    return {key: int(value) for key, value in (line.split() for line in lines)}


def lagging_memory_stat() -> bool:
    """Whether each CPU keeps up to 32 pages out of memory.stat, for good.

    Before Linux 2d146aa3aa84 ("mm: memcontrol: switch to rstat") (v5.13).
    """
    return "mem_cgroup_css_rstat_flush" not in Path("/proc/kallsyms").read_text()


def report(snapshot: dict[str, Any], checks: Checks, lacks: dict[str, str]) -> None:
    """Print the result: {features, checks: {check: {expected, got}}, lacks: {subject: why}}."""
    print(json.dumps({"features": snapshot["features"], "checks": checks, "lacks": lacks}))


def new_cgroup(name: str) -> Path:
    """A cgroup below the one of this script."""
    cgroup = CGROUPS / name
    cgroup.mkdir()
    return cgroup


def row_of(snapshot: dict[str, Any], cgroup: Path) -> dict[str, Any]:
    """The container of a cgroup."""
    wanted = "/" + str(cgroup.relative_to("/sys/fs/cgroup"))
    rows = [row for row in snapshot["containers"] if row["cgroup"] == wanted]
    if not rows:
        raise SystemExit(f"no row for {wanted}")
    row: dict[str, Any] = rows[-1]
    return row


def amount(rows: list[dict[str, Any]], key: str, value: str) -> int:
    """One entry of `io` or `removed_by`."""
    return sum(row["bytes"] for row in rows if row[key] == value)


# -- the checks ------------------------------------------------------------------------------

LAGGING = lagging_memory_stat()
LAG_PAGES = 32 * (os.cpu_count() or 1)
LEFT = {
    "unlink": 0,
    "truncate": KEPT,
    "reclaim": None,
    "hugetlb": 0,
    "processes": KEPT,
}  # pages; others: PAGES


def check_exact(
    checks: Checks, name: str, row: dict[str, Any], file_bytes: int, left: int | None = None
) -> None:
    """Attributed and shown is what memory.stat says; where that lags, what the act left."""
    cache = row["page_cache"]
    there = file_bytes
    if LAGGING:
        there = cache["attributed_bytes"] if left is None else left * PAGE
        lag = abs(file_bytes - there) // PAGE
        check_amount(checks, f"{name}: lag", lag <= LAG_PAGES, True)
    checks[f"{name}: ledger equals memory.stat"] = {
        "expected": {
            "file_bytes": file_bytes,
            "attributed_bytes": there,
            "unattributed": file_bytes - there,
        },
        "got": {
            "file_bytes": row["file_bytes"],
            "attributed_bytes": cache["attributed_bytes"],
            "unattributed": cache["unattributed_bytes"],
        },
    }


def check_drivers(checks: Checks, name: str, row: dict[str, Any], expected: list[Driver]) -> None:
    """The drivers of the files are the ones there must be."""
    for kind, path, added in expected:
        found = [driver for driver in row["drivers"] if driver["path"] == path]
        keys = ("kind", "added_bytes")
        checks[f"{name}: driver of {path}"] = {
            "expected": [[kind, added]],
            "got": [[driver[key] for key in keys] for driver in found],
        }


def check_amount(checks: Checks, name: str, got: int | None, expected: int) -> None:
    """One figure."""
    checks[name] = {"expected": expected, "got": got}


def check_older(checks: Checks, row: dict[str, Any], baseline: int | None) -> None:
    """What was there before, and what was done to it; without a baseline it is unknown."""
    cache = row["page_cache"]
    if baseline is None:
        for name in ("attributed_bytes", "unattributed_bytes"):
            check_amount(checks, f"more: {name}", cache[name], None)
    check_amount(checks, "older: baseline", cache["baseline_bytes"], baseline)
    check_amount(checks, "older: added", cache["added_bytes"], KEPT * PAGE)
    check_amount(checks, "older: removed", cache["removed_bytes"], PAGES * PAGE)
    check_amount(
        checks, "older: unlink", amount(row["removed_by"], "reason", "unlink"), PAGES * PAGE
    )


def check_all(checks: Checks, memtrace: Memtrace, baseline: int) -> dict[str, Any]:
    """Do every act, wait until all is quiet, compare; returns the snapshot."""
    done = {}
    for name, act in ACTS.items():
        cgroup = CGROUPS / "older" if name == "more" else new_cgroup(name)
        done[name] = (cgroup, act(cgroup))
    gone = new_cgroup("gone")
    workload(gone, write, DISK / "left", PAGES, PAGE)
    gone.rmdir()
    snapshot = memtrace.after(time.time() + QUIET_SECONDS)
    walked = snapshot["features"]["baseline"]["enabled"]
    rows = {name: row_of(snapshot, cgroup) for name, (cgroup, _) in done.items()}
    for name, (cgroup, drivers) in done.items():
        if walked or name != "more":
            there = memory_stat(cgroup)["file"]
            check_exact(checks, name, rows[name], there, LEFT.get(name, PAGES))
        check_drivers(checks, name, rows[name], drivers)
    whole = row_of(snapshot, CGROUPS)
    if walked:
        check_exact(checks, "parent", whole, memory_stat(CGROUPS)["file"])
    else:
        check_amount(checks, "parent: attributed", whole["page_cache"]["attributed_bytes"], None)
    removed = {name: row["removed_by"] for name, row in rows.items()}
    size = PAGES * PAGE
    check_amount(checks, "unlink: reason", amount(removed["unlink"], "reason", "unlink"), size)
    cut = rows["truncate"]["page_cache"]
    left = size - (KEPT * PAGE if LAGGING else memory_stat(CGROUPS / "truncate")["file"])
    check_amount(
        checks, "truncate: reason", amount(removed["truncate"], "reason", "truncate"), left
    )
    check_amount(checks, "truncate: removed", cut["removed_bytes"], left)
    pressed = rows["reclaim"]["page_cache"]["removed_bytes"]
    check_amount(
        checks, "reclaim: reason", amount(removed["reclaim"], "reason", "reclaim"), pressed
    )
    check_amount(checks, "reclaim: limit", rows["reclaim"]["limit_bytes"], LIMIT)
    shmem = amount(rows["tmpfs"]["io"], "kind", "shmem")
    check_amount(checks, "tmpfs: kind", shmem, size)
    told = memory_stat(CGROUPS / "tmpfs")["shmem"] if LAGGING else size
    check_amount(checks, "tmpfs: shmem_bytes", rows["tmpfs"]["shmem_bytes"], told)
    accounted = "memory_hugetlb_accounting" in Path("/proc/mounts").read_text()
    charged = rows["hugetlb"]["usage_bytes"] >= HUGE_PAGES * HUGE
    check_amount(checks, "hugetlb: charged", charged, accounted)
    check_older(checks, rows["more"], baseline if walked else None)
    names = [row["comm"] for row in rows["processes"]["processes"]]
    checks["processes: name"] = {"expected": [PROGRAM.name], "got": names}
    ghost = row_of(snapshot, gone)
    checks["removed cgroup: state"] = {"expected": "removed", "got": ghost["state"]}
    check_drivers(checks, "removed cgroup", ghost, [("write", f"{DISK}/left", size)])
    checks["nothing lost"] = {"expected": 0, "got": sum(snapshot["lost"].values())}
    checks["cgroup mode"] = {"expected": "v2", "got": snapshot["cgroup_mode"]}
    return snapshot


def main() -> None:
    """Prepare an older cgroup, start memtrace, check, and print the result."""
    CGROUPS.mkdir()
    (CGROUPS / "cgroup.subtree_control").write_text("+memory")
    older = new_cgroup("older")
    workload(older, write, DISK / "older", PAGES, 1 << 20)
    workload(older, write, DISK / "older-gone", PAGES, PAGE)
    time.sleep(QUIET_SECONDS)
    baseline = memory_stat(older)["file"]
    memtrace = Memtrace()
    checks: Checks = {}
    start = time.monotonic()
    memtrace.after(0)
    print(f"guest: first snapshot after {time.monotonic() - start:.1f} s", file=sys.stderr)
    snapshot = check_all(checks, memtrace, baseline)
    checks["memtrace: exit"] = {"expected": 0, "got": memtrace.stop()}
    report(snapshot, checks, {})


if __name__ == "__main__":
    main()
