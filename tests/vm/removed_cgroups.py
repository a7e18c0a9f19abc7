"""Runs in the guest: cgroups that are removed while files they brought in stay cached.

Prints one JSON object, {check: {"expected": ..., "got": ...}}. A cgroup above has no pages of
its own, so what memory.stat says of it beyond its living children is the removed ones'. Needs
core_workloads.py beside it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core_workloads import (
    CGROUPS,
    DISK,
    PAGE,
    TMPFS,
    Checks,
    Memtrace,
    check_amount,
    check_drivers,
    check_exact,
    memory_stat,
    new_cgroup,
    workload,
    write,
)

PAGES, OTHER, KEPT, SHARED, OWN = 1021, 499, 211, 307, 89
EPHEMERAL = 12
SETTLE_SECONDS = 4
FOLDED_SECONDS = 60


def parent(name: str) -> Path:
    """A cgroup whose children pay for memory, and nobody else in it."""
    above = new_cgroup(name)
    (above / "cgroup.subtree_control").write_text("+memory")
    return above


def child(above: Path, name: str, files: dict[Path, int]) -> Path:
    """A cgroup that wrote files of so many pages."""
    cgroup = above / name
    cgroup.mkdir()
    for path, pages in files.items():
        workload(cgroup, write, path, pages, 65536)
    return cgroup


def gone(cgroup: Path) -> None:
    """Remove the cgroup, and give the kernel time to move what it leaves."""
    cgroup.rmdir()
    time.sleep(0.5)


def quiet(memtrace: Memtrace) -> dict[str, Any]:
    """A snapshot after all is told and shared memory was compared."""
    return memtrace.after(time.time() + SETTLE_SECONDS)


def rows_of(snapshot: dict[str, Any], cgroup: Path) -> list[dict[str, Any]]:
    """The rows of a cgroup, removed or not; none when it was folded away."""
    wanted = "/" + str(cgroup.relative_to("/sys/fs/cgroup"))
    return [row for row in snapshot["containers"] if row["cgroup"] == wanted]


def check_parent(checks: Checks, name: str, snapshot: dict[str, Any], above: Path) -> None:
    """The cgroup above is exact, and nothing anywhere is below nothing."""
    check_exact(checks, name, rows_of(snapshot, above)[0], memory_stat(above)["file"])
    negative = [
        row["cgroup"]
        for row in snapshot["containers"]
        if (row["page_cache"]["attributed_bytes"] or 0) < 0
        or any((file["resident_bytes"] or 0) < 0 for file in row["files"])
    ]
    checks[f"{name}: nothing negative"] = {"expected": [], "got": negative}


def check_removed(
    checks: Checks, name: str, snapshot: dict[str, Any], cgroup: Path, pages: int
) -> None:
    """A removed cgroup's row holds what is left of what it brought in; with nothing it may go."""
    found = [(r["state"], r["page_cache"]["attributed_bytes"]) for r in rows_of(snapshot, cgroup)]
    expected = [["removed", pages * PAGE]] if pages or found else []
    checks[f"{name}: row"] = {"expected": expected, "got": [list(row) for row in found]}


def left_of(above: Path, *living: Path) -> int:
    """Pages charged to a cgroup beyond what its living children have."""
    return (memory_stat(above)["file"] - sum(memory_stat(c)["file"] for c in living)) // PAGE


def removed_while_watched(checks: Checks, memtrace: Memtrace) -> None:
    """A child with files on disk, ramfs and tmpfs beside a living sibling; it goes bit by bit."""
    above = parent("watched")
    mine = {
        DISK / "a": PAGES,
        DISK / "b": OTHER,
        Path("/ram/c"): OWN,
        TMPFS / "d": SHARED,
    }
    cgroup = child(above, "child", mine)
    sibling = child(above, "sibling", {DISK / "e": KEPT})
    gone(cgroup)
    snapshot = quiet(memtrace)
    check_parent(checks, "removed", snapshot, above)
    check_removed(checks, "removed", snapshot, cgroup, left_of(above, sibling))
    check_drivers(
        checks, "removed", rows_of(snapshot, cgroup)[0], [("write", f"{DISK}/a", PAGES * PAGE)]
    )

    os.unlink(DISK / "a")
    os.truncate(DISK / "b", KEPT * PAGE - 1000)
    os.unlink(TMPFS / "d")
    snapshot = quiet(memtrace)
    check_parent(checks, "partly", snapshot, above)
    check_removed(checks, "partly", snapshot, cgroup, left_of(above, sibling))
    reasons = {r["reason"]: r["bytes"] for r in rows_of(snapshot, cgroup)[0]["removed_by"]}
    check_amount(checks, "partly: unlinked", reasons["unlink"], (PAGES + SHARED) * PAGE)
    check_exact(
        checks, "partly: sibling", rows_of(snapshot, sibling)[0], memory_stat(sibling)["file"]
    )

    os.unlink(DISK / "b")
    os.unlink("/ram/c")
    snapshot = quiet(memtrace)
    check_parent(checks, "all", snapshot, above)
    check_removed(checks, "all", snapshot, cgroup, left_of(above, sibling))
    check_amount(checks, "all: of its files", resident(snapshot, cgroup, mine), 0)


def removed_with_its_parent(checks: Checks, memtrace: Memtrace) -> None:
    """A grandchild is removed, then the child above it."""
    above = parent("nested")
    middle = above / "middle"
    middle.mkdir()
    (middle / "cgroup.subtree_control").write_text("+memory")
    inner = child(middle, "inner", {DISK / "f": PAGES, DISK / "g": KEPT})
    gone(inner)
    gone(middle)
    os.unlink(DISK / "g")
    snapshot = quiet(memtrace)
    check_parent(checks, "nested", snapshot, above)
    check_removed(checks, "nested inner", snapshot, inner, left_of(above))
    check_removed(checks, "nested middle", snapshot, middle, left_of(above))
    os.unlink(DISK / "f")


def resident(snapshot: dict[str, Any], cgroup: Path, paths: Iterable[Path]) -> int:
    """Pages of these files in a cgroup's rows; the file system's own pages are not among them."""
    files = (file for row in rows_of(snapshot, cgroup) for file in row["files"])
    wanted = {str(path) for path in paths}
    return sum(file["resident_bytes"] for file in files if file["path"] in wanted) // PAGE


def come_and_go(checks: Checks, memtrace: Memtrace, above: Path) -> None:
    """Cgroups one after the other, whose kernel structures take each other's place in memory."""
    for number in range(EPHEMERAL):
        path = DISK / f"ephemeral-{number}"
        gone(child(above, f"child-{number}", {path: OWN + number}))
        if number % 3:
            os.unlink(path)
    last = child(above, "last", {DISK / "last": PAGES})
    snapshot = quiet(memtrace)
    check_parent(checks, "ephemeral", snapshot, above)
    check_exact(checks, "ephemeral: last", rows_of(snapshot, last)[0], memory_stat(last)["file"])
    left = [
        resident(snapshot, above / f"child-{number}", [DISK / f"ephemeral-{number}"])
        for number in range(EPHEMERAL)
    ]
    expected = [0 if number % 3 else OWN + number for number in range(EPHEMERAL)]
    checks["ephemeral: what each left"] = {"expected": expected, "got": left}
    for number in range(0, EPHEMERAL, 3):
        os.unlink(DISK / f"ephemeral-{number}")


def folded(checks: Checks, memtrace: Memtrace, above: Path) -> None:
    """Removed cgroups with nothing left are no row any more, and their sums stay."""
    deadline = time.monotonic() + FOLDED_SECONDS
    empty = {"none yet"}
    while empty and time.monotonic() < deadline:
        snapshot = quiet(memtrace)
        gone_rows = [row for row in snapshot["containers"] if row["state"] == "removed"]
        empty = {r["cgroup"] for r in gone_rows if not r["page_cache"]["attributed_bytes"]}
    checks["folded: rows"] = {"expected": [], "got": sorted(empty)}
    check_parent(checks, "folded", snapshot, above)


def removed_before(checks: Checks) -> None:
    """memtrace starts after the removal; then what inherited the pages is removed, too."""
    above = parent("before")
    middle = above / "middle"
    middle.mkdir()
    (middle / "cgroup.subtree_control").write_text("+memory")
    inner = child(middle, "inner", {DISK / "h": PAGES, DISK / "i": OTHER, TMPFS / "j": SHARED})
    lone = child(above, "lone", {DISK / "k": KEPT})
    gone(inner)
    gone(lone)
    memtrace = Memtrace()
    snapshot = quiet(memtrace)
    check_parent(checks, "before", snapshot, above)
    check_parent(checks, "before: middle", snapshot, middle)
    os.unlink(DISK / "h")
    os.unlink(DISK / "k")
    snapshot = quiet(memtrace)
    check_parent(checks, "before, partly", snapshot, above)
    check_parent(checks, "before, partly: middle", snapshot, middle)
    held = memory_stat(middle)["file"] // PAGE
    gone(middle)
    snapshot = quiet(memtrace)
    check_parent(checks, "before, inherited", snapshot, above)
    check_removed(checks, "before, inherited", snapshot, middle, held)
    os.unlink(DISK / "i")
    os.unlink(TMPFS / "j")
    snapshot = quiet(memtrace)
    check_parent(checks, "before, all", snapshot, above)
    check_removed(checks, "before, all", snapshot, middle, left_of(above))
    checks["nothing lost: since the removal"] = {"expected": 0, "got": lost(snapshot)}
    checks["memtrace: second exit"] = {"expected": 0, "got": memtrace.stop()}


def lost(snapshot: dict[str, Any]) -> int:
    """Everything that did not reach memtrace."""
    return sum(snapshot["lost"].values())


def main() -> None:
    """Do every act, and print the result."""
    CGROUPS.mkdir()
    (CGROUPS / "cgroup.subtree_control").write_text("+memory")
    memtrace = Memtrace()
    memtrace.after(0)
    checks: Checks = {}
    ephemeral = parent("ephemeral")
    come_and_go(checks, memtrace, ephemeral)
    removed_while_watched(checks, memtrace)
    removed_with_its_parent(checks, memtrace)
    folded(checks, memtrace, ephemeral)
    checks["nothing lost"] = {"expected": 0, "got": lost(memtrace.after(time.time()))}
    checks["memtrace: exit"] = {"expected": 0, "got": memtrace.stop()}
    removed_before(checks)
    print(json.dumps(checks))


if __name__ == "__main__":
    main()
