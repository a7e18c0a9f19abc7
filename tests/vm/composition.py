"""Runs in the guest: what memory consists of on cgroup version 2, and how long it was waited for.

Prints one JSON object, see `report`; `expected` is [least, most] or a value. Expected amounts
come from the workload or from the kernel's own files, never from memtrace.
"""

from __future__ import annotations

import mmap
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core_workloads import (
    CGROUPS,
    DISK,
    LAG_PAGES,
    LAGGING,
    QUIET_SECONDS,
    Checks,
    Memtrace,
    cold,
    memory_stat,
    new_cgroup,
    report,
    row_of,
)

PAGE = os.sysconf("SC_PAGE_SIZE")
CPUS = os.cpu_count() or 1
MIB = 1 << 20
STOCK = 64 * CPUS * PAGE  # charged pages that the CPUs hold in stock
COUNT = 509
HUGE_PAGE, HUGE_PAGES = 2 * MIB, 4
LIMIT, TOUCHED, SWAP = 16 * MIB, 40 * MIB, 64 * MIB
SWAP_LIMIT, SWAP_LIMIT_ABOVE = 48 * MIB, 44 * MIB
MAP_HUGETLB = 0x40000
REASON = "stalls of processes begun since kernel.task_delayacct is 1"
SWITCH = Path("/proc/sys/kernel/task_delayacct")

KERNEL_MEMORY = {  # workload -> figure, keys of memory.stat, what COUNT of it takes at least
    "threads": ("kernel_stack_bytes", ("kernel_stack",), COUNT * 4 * PAGE),
    "tables": ("page_table_bytes", ("pagetables", "sec_pagetables"), COUNT * PAGE),
    "percpu": ("percpu_bytes", ("percpu",), COUNT * CPUS * 512),
    "sockets": ("sock_bytes", ("sock",), 11 * 65536),
}

# Since Linux 97306be45fbe ("Merge branch 'switch to memcg-based memory accounting'") (in v5.11);
# before, maps count against RLIMIT_MEMLOCK.
MAPS_ARE_CHARGED = "bpf_map_kmalloc_node" in Path("/proc/kallsyms").read_text()

Lacks = dict[str, str]


class Holder:
    """A child in a cgroup that works when told to, says so, and stays alive."""

    def __init__(self, cgroup: Path, work: Callable[[], object]) -> None:
        go, self._go = os.pipe()
        self._done, done = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._go)
            (cgroup / "cgroup.procs").write_text(str(os.getpid()))
            os.read(go, 1)
            self.kept = work()
            os.write(done, b"x")
            os.read(go, 1)  # until the parent ends
            os._exit(0)
        os.close(done)
        os.close(go)

    def work(self) -> Holder:
        """Let it do its work, and wait until it is done."""
        os.write(self._go, b"x")
        if os.read(self._done, 1) != b"x":
            raise SystemExit(f"workload {self.pid} failed")
        return self


def make_kernel_memory(cgroup: Path, kind: str) -> subprocess.Popen[bytes]:
    """Start the workload tests/workloads/kernel_memory.c in the cgroup."""
    command = ["/bin/sh", "-c", 'echo 0 > "$0/cgroup.procs" && exec "$@"', str(cgroup)]
    command += ["/bin/kernel_memory", kind, str(11 if kind == "sockets" else COUNT)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    if child.stdout.readline() != b"ready\n":
        raise SystemExit(f"kernel_memory {kind} failed")
    return child


def touch_anonymous() -> object:
    """More anonymous memory than the limit allows: the rest goes to swap."""
    return bytearray(os.urandom(PAGE)) * (TOUCHED // PAGE)


def touch_huge() -> object:
    """Huge pages."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB
    mapping = mmap.mmap(-1, HUGE_PAGES * HUGE_PAGE, flags=flags)
    for page in range(HUGE_PAGES):
        mapping[page * HUGE_PAGE] = 1
    return mapping


def read_around() -> None:
    """Read a file four times the limit again and again: every page thrashes.

    On one CPU, because the kernel weighs the pressure of several against each other.
    """
    os.sched_setaffinity(0, {0})
    for _ in range(4):
        with (DISK / "large").open("rb", buffering=0) as file:
            while file.read(65536):
                pass


def write_little() -> None:
    """Enough to have a row."""
    (DISK / "little").write_bytes(bytes(7 * PAGE))


def prepare() -> None:
    """Swap, huge pages, a large file, the controllers, and maps without a limit."""
    unlimited = resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (unlimited, unlimited))
    (DISK / "swap").write_bytes(bytes(SWAP))
    cold(DISK / "large", 4 * LIMIT // PAGE)
    os.chmod(DISK / "swap", 0o600)
    subprocess.run(["mkswap", DISK / "swap"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["swapon", DISK / "swap"], check=True)
    Path("/proc/sys/vm/nr_hugepages").write_text(str(3 * HUGE_PAGES))
    Path("/sys/fs/cgroup/cgroup.subtree_control").write_text("+hugetlb")
    CGROUPS.mkdir()
    (CGROUPS / "cgroup.subtree_control").write_text("+memory +hugetlb")


def equal(checks: Checks, name: str, got: Any, expected: Any) -> None:
    """One value."""
    checks[name] = {"expected": expected, "got": got}


def between(checks: Checks, name: str, got: float, least: float, most: float) -> None:
    """One value within bounds: the bounds are shown when it is not."""
    checks[name] = {"expected": got if least <= got <= most else [least, most], "got": got}


def check_sum(checks: Checks, name: str, row: dict[str, Any], more: int = 0) -> None:
    """Usage is the sum of the figures, up to what the CPUs hold in stock."""
    parts = ("anon_bytes", "file_bytes", "kernel_bytes", "sock_bytes", "unexplained_bytes")
    equal(checks, f"{name}: sum", sum(row[part] for part in parts), row["usage_bytes"])
    between(checks, f"{name}: unexplained", row["unexplained_bytes"] - more, -STOCK, STOCK)


def kernel_memory(stat: dict[str, int]) -> int:
    """The kernel's own sum, since Linux 5.18 (a8c49af3be5f); before, the parts it tells."""
    parts = ("slab", "kernel_stack", "pagetables", "percpu")
    return stat["kernel"] if "kernel" in stat else sum(stat.get(part, 0) for part in parts)


def check_kernel_memory(checks: Checks, lacks: Lacks, memtrace: Memtrace) -> None:
    """Each kind is what the kernel says and what the workload needs."""
    children = [make_kernel_memory(new_cgroup(kind), kind) for kind in KERNEL_MEMORY]
    snapshot = memtrace.after(time.time() + QUIET_SECONDS)
    for kind, (figure, keys, least) in KERNEL_MEMORY.items():
        if kind == "percpu" and not MAPS_ARE_CHARGED:
            lacks[kind] = "BPF maps, the workload, are not charged to cgroups (before 5.11)"
            least = 0
        row, stat = row_of(snapshot, CGROUPS / kind), memory_stat(CGROUPS / kind)
        if keys[0] not in stat:
            lacks[kind] = f"memory.stat does not tell {keys[0]}"
            equal(checks, f"{kind}: figure", row[figure], None)
            continue
        equal(checks, f"{kind}: figure", row[figure], sum(stat.get(key, 0) for key in keys))
        most = 64 * MIB if kind == "sockets" else 2 * least + MIB  # buffers grow at will
        lag = LAG_PAGES * PAGE if LAGGING else 0
        between(checks, f"{kind}: amount", row[figure], least - lag, most)
        equal(checks, f"{kind}: kernel", row["kernel_bytes"], kernel_memory(stat))
        check_sum(checks, kind, row)
    for child in children:
        child.kill()


def check_swap(checks: Checks, memtrace: Memtrace) -> None:
    """What does not fit is in swap, under the smaller limit of the two on the way up."""
    above = new_cgroup("swap")
    (above / "cgroup.subtree_control").write_text("+memory")
    cgroup = new_cgroup("swap/inner")
    (above / "memory.swap.max").write_text(str(SWAP_LIMIT_ABOVE))
    (cgroup / "memory.swap.max").write_text(str(SWAP_LIMIT))
    (cgroup / "memory.max").write_text(str(LIMIT))
    Holder(cgroup, touch_anonymous).work()
    snapshot = memtrace.after(time.time() + QUIET_SECONDS)
    row = row_of(snapshot, cgroup)
    equal(checks, "swap: of the machine", snapshot["swap"], machine_swap())
    held = row["anon_bytes"] + row["swap_bytes"]
    cached = memory_stat(cgroup).get("swapcached", row["swap_bytes"])  # told since 5.12
    most = TOUCHED + 4 * MIB + cached  # Python itself
    between(checks, "swap: anonymous memory, here and there", held, TOUCHED, most)
    equal(checks, "swap: verdict", row["verdict"]["id"], "swap_in_use")
    figures, stat = row["working_set"], memory_stat(cgroup)
    equal(
        checks,
        "swap: reclaimable slab",
        figures["reclaimable_slab_bytes"],
        stat["slab_reclaimable"],
    )
    given = (
        stat["active_file"] + stat["inactive_file"] - stat["file_dirty"] - stat["file_writeback"]
    )
    given += stat["slab_reclaimable"]
    equal(checks, "swap: reclaimable", figures["reclaimable_bytes"], given)
    above_row = row_of(snapshot, above)
    equal(checks, "swap: of the parent", above_row["swap_bytes"], row["swap_bytes"])
    equal(
        checks, "swap: bytes", row["swap_bytes"], int((cgroup / "memory.swap.current").read_text())
    )
    between(checks, "swap: amount", row["swap_bytes"], TOUCHED - LIMIT, TOUCHED + LIMIT)
    equal(checks, "swap: limit", row["swap_limit_bytes"], SWAP_LIMIT_ABOVE)
    between(checks, "swap: unexplained", row["unexplained_bytes"], -STOCK, STOCK + cached)


def machine_swap() -> dict[str, int]:
    """What /proc/meminfo says."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    total, free = kib["SwapTotal"] * 1024, kib["SwapFree"] * 1024
    return {"total_bytes": total, "used_bytes": total - free}


def check_huge_pages(checks: Checks, lacks: Lacks, memtrace: Memtrace) -> None:
    """No part of usage, until the mount option makes them one."""
    apart, charged = new_cgroup("huge"), new_cgroup("huge-charged")
    Holder(apart, touch_huge).work()
    options = "remount,memory_hugetlb_accounting"
    subprocess.run(["mount", "-o", options, "-t", "cgroup2", "none", "/sys/fs/cgroup"])
    accounted = "memory_hugetlb_accounting" in Path("/proc/mounts").read_text()
    Holder(charged, touch_huge).work()
    snapshot = memtrace.after(time.time() + QUIET_SECONDS)
    size = HUGE_PAGES * HUGE_PAGE
    for name, cgroup in (("huge", apart), ("huge-charged", charged)):
        row = row_of(snapshot, cgroup)
        held = int((cgroup / "hugetlb.2MB.current").read_text())
        equal(checks, f"{name}: bytes", row["hugetlb_bytes"], held)
        between(checks, f"{name}: amount", held, size - HUGE_PAGE, size)  # 5.10: once one less
        told = "hugetlb" in memory_stat(cgroup) or name == "huge" or not accounted
        between(
            checks,
            f"{name}: unexplained",
            row["unexplained_bytes"] - (0 if told else size),
            -STOCK,
            STOCK,
        )
    equal(checks, "huge-charged: in usage", row["usage_bytes"] > size, accounted)
    if not accounted:
        lacks["huge-charged"] = "no mount option memory_hugetlb_accounting (before 6.6)"


def check_no_stalls(checks: Checks, memtrace: Memtrace) -> None:
    """A kernel without the switch: the feature is off, with a reason."""
    feature = memtrace.after(0)["features"]["taskstats"]
    equal(checks, "stalls: feature", feature["enabled"], False)
    equal(checks, "stalls: reason", "no kernel.task_delayacct" in feature["reason"], True)


def check_stalls(checks: Checks, memtrace: Memtrace, older: Holder) -> None:
    """As long as the kernel's pressure figures say of a cgroup with one process."""
    cgroup = new_cgroup("stalls")
    (cgroup / "memory.max").write_text(str(LIMIT))
    child = Holder(cgroup, read_around).work()
    older.work()
    snapshot = memtrace.after(time.time() + QUIET_SECONDS)
    equal(checks, "stalls: feature", snapshot["features"]["taskstats"]["reason"], REASON)
    some = (cgroup / "memory.pressure").read_text().split("\n")[0]
    pressure = int(some.rpartition("total=")[2]) / 1e6
    between(
        checks,
        "stalls: seconds",
        stalled(snapshot, cgroup, child.pid) or 0,
        0.5 * pressure,
        1.2 * pressure,
    )
    between(checks, "stalls: there were some", pressure, 0.01, 1000)
    equal(
        checks, "stalls: of an older process", stalled(snapshot, CGROUPS / "older", older.pid), None
    )
    status = Path(f"/proc/{memtrace.pid}/status").read_text()
    print(
        "guest: memtrace's",
        status[status.index("VmHWM") :].split("\n")[:2],
        pressure,
        file=sys.stderr,
    )


def stalled(snapshot: dict[str, Any], cgroup: Path, pid: int) -> float | None:
    """The stalls in the row of a process."""
    rows = row_of(snapshot, cgroup)["processes"]
    seconds: float | None = next(row["stall_seconds"] for row in rows if row["pid"] == pid)
    return seconds


def main() -> None:
    """Prepare, start memtrace, check, and print the result."""
    prepare()
    older = Holder(new_cgroup("older"), write_little)
    switched = SWITCH.exists() and SWITCH.write_text("1")
    memtrace = Memtrace()
    snapshot = memtrace.after(0)
    checks: Checks = {}
    lacks: Lacks = {}
    if switched:
        check_stalls(checks, memtrace, older)
    else:
        check_no_stalls(checks, memtrace)
    check_kernel_memory(checks, lacks, memtrace)
    check_swap(checks, memtrace)
    check_huge_pages(checks, lacks, memtrace)
    equal(checks, "memtrace: exit", memtrace.stop(), 0)
    report(snapshot, checks, lacks)


if __name__ == "__main__":
    main()
