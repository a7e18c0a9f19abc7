#!/usr/bin/env python3
"""Make docs/kernels.md, feature x kernel, out of what test runs noted in build/kernels.

`make check-vm` and `make check-kernel` note (tests/noted.py); `make kernels-doc` takes the
notes over into docs/kernels.json, which stays when a kernel was not tried, and renders it.
`--check` (lint): the document is what this tool makes of docs/kernels.json. `--compare`: says
what the notes tell otherwise, and changes nothing. Runs no test itself. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
NOTES = ROOT / "build" / "kernels"
RECORD = ROOT / "docs" / "kernels.json"
DOCUMENT = ROOT / "docs" / "kernels.md"

EXACT, NEAR, SAMPLED = "exact", "to 1 %", "sampled"

Column = dict[str, Any]  # tests/noted.py: Column


class Row(NamedTuple):
    """What users call it; the feature it stands or falls with; the tests that prove it.

    `proven` is how closely they do.
    """

    title: str
    feature: str
    subjects: tuple[str, ...]
    proven: str = EXACT


class Cell(NamedTuple):
    """exact, to 1 %, sampled, partial, off, FAILED or "-" (not tried), and why."""

    status: str
    reason: str


ROWS = (
    Row(
        "page cache by container, file, process and kind of I/O",
        "page_cache",
        (
            *("write-4k", "write-1m", "write-ramfs", "read-cold", "mmap-cold", "nothing lost"),
            *("test_page_cache_counters", "test_page_cache_kinds"),
        ),
    ),
    Row(
        "what left the cache, and why: unlink, truncate, reclaim",
        "page_cache",
        ("unlink", "truncate", "reclaim", "test_page_cache_removal"),
    ),
    Row(
        "what was cached before memtrace started",
        "baseline",
        ("more", "older", "parent", "test_page_cache_baseline"),
    ),
    Row("tmpfs and shared memory", "shmem", ("tmpfs", "test_page_cache_shmem")),
    Row("huge pages kept apart", "page_cache", ("hugetlb", "test_hugetlb")),
    Row("removed containers", "cgroup_events", ("removed cgroup", "test_short_lived")),
    Row(
        "processes by the name of their program", "process_events", ("processes", "test_processes")
    ),
    Row("kernel stacks", "", ("threads",)),
    Row("page tables", "", ("tables",)),
    Row("per-CPU data, socket buffers", "", ("percpu", "sockets")),
    Row("swap and its limit", "", ("swap",)),
    Row("huge pages charged to usage (mount option)", "", ("huge-charged",)),
    Row("stalls of processes", "taskstats", ("stalls",)),
    Row(
        "kernel objects by container and slab cache",
        "slab_census",
        ("census", "test_slab_census"),
        NEAR,
    ),
    Row("who makes kernel objects grow", "slab_culprits", ("culprits", "test_slab_culprits")),
    Row("refaults by file", "refaults", ("refaults", "test_watch"), NEAR),
    Row("who reads what another pays for", "touchers", ("touchers", "test_watch")),
    Row("who maps what another pays for", "touchers", ("mappers", "test_watch")),
    Row("who dirties what another pays for", "dirtiers", ("dirtiers", "test_watch")),
    Row("garbage collections of Go programs", "go_gc", ("go_gc", "test_go_gc")),
    Row("the code that makes a cache grow", "stacks", ("stacks", "test_stacks"), SAMPLED),
    Row("a second referee, for `doctor --verify`", "", ("referee", "test_second_referee")),
    Row("the second engine, BCC, says the same", "", ("alike", "kill", "test_engines")),
    Row("the second engine with kernel headers, without BTF", "", ("headers",)),
    Row(
        "kills for want of memory, each recorded as what it was",
        "oom",
        (
            *("older than memtrace", "own limit", "limit above", "group kill", "cgroup.kill"),
            *("plain kills", "whole machine", "as many as the kernel counts", "test_oom"),
        ),
    ),
)

HEAD = """\
# Kernels

What works on which kernel, as the tests found it. Made by `make kernels-doc` from what
`make check-vm` (Debian's kernels in QEMU, cgroup version 2) and `make check-kernel` (the machine
they ran on) noted; not written by hand. `memtrace doctor` says the same of your machine.

**exact**: equal to the workload and to the kernel's own figures, to the page, object or kill.
**to 1 %**: of those. **sampled**: estimated, right on average. **partial**: with the limits given
below. **off**: not on this kernel, for the reason below; nothing else depends on it. **-**: not
tried there. The newest package of each of Debian's suites is taken at the first run.

All this is with the default engine. `--engine bcc` is for kernels without BTF before Linux 7: page
cache, tmpfs (partial: no walk), cgroups, processes and kills are the same with it, the rest is off.
It wants the package python3-bpfcc and, without BTF, the kernel's headers. The README says more.
"""


def columns(record: dict[str, Column]) -> list[Column]:
    """All kernels, the oldest first."""

    def age(column: Column) -> tuple[list[int], str]:
        return [int(part) for part in column["kernel"].split(".")], column["cgroup"]

    return sorted(record.values(), key=age)


def cell(row: Row, column: Column) -> Cell:
    """What a column says of a row."""
    outcomes = [column["outcomes"][name] for name in row.subjects if name in column["outcomes"]]
    if "failed" in outcomes:
        return Cell("FAILED", "a test of it failed")
    lacking = [column["lacks"][name] for name in row.subjects if name in column["lacks"]]
    if lacking:
        return Cell("off", lacking[0])
    if not outcomes:
        return Cell("-", "")
    feature = column["features"].get(row.feature, {"enabled": True, "reason": ""})
    if not feature["enabled"]:
        return Cell("off", feature["reason"])
    word, _, reason = feature["reason"].partition(": ")
    if word == "partial":
        return Cell("partial", reason)
    limits = "" if word == EXACT else feature["reason"].removeprefix(EXACT).lstrip(",; ")
    return Cell(row.proven, limits)


def render(record: dict[str, Column]) -> str:
    """The whole document."""
    kernels = columns(record)
    heads = [f"{each['kernel']} ({each['cgroup']})" for each in kernels]
    lines = [HEAD, table_line(["feature", *heads]), table_line(["---"] * (len(heads) + 1))]
    notes: list[str] = []
    for row in ROWS:
        cells = [cell(row, each) for each in kernels]
        lines.append(table_line([row.title, *(text(found, notes) for found in cells)]))
    lines.append("")
    lines += [f"{number}. {note}" for number, note in enumerate(notes, start=1)]
    lines += ["", "Tried: " + ", ".join(f"{each['release']}" for each in kernels) + "."]
    return "\n".join(lines) + "\n"


def text(found: Cell, notes: list[str]) -> str:
    """A cell with the number of its note; equal notes are one."""
    if not found.reason:
        return found.status
    if found.reason not in notes:
        notes.append(found.reason)
    return f"{found.status} [{notes.index(found.reason) + 1}]"


def table_line(cells: list[str]) -> str:
    """One line of the table."""
    return "| " + " | ".join(cells) + " |"


def load_record() -> dict[str, Column]:
    """What docs/kernels.json holds."""
    record: dict[str, Column] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return record


def merged(record: dict[str, Column]) -> dict[str, Column]:
    """The record with this machine's notes; what they did not try of the same release stays."""
    found = dict(record)
    for path in sorted(NOTES.glob("*.json")):
        found[path.stem] = over(found.get(path.stem, {}), json.loads(path.read_text()))
    return found


def over(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """A column with what only the run before tried; another release starts anew."""
    if before.get("release") != now["release"]:
        return now
    parts = {part: before.get(part, {}) | now[part] for part in ("lacks", "outcomes")}
    return now | parts | {"features": switched_on(before.get("features", {}), now["features"])}


def switched_on(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Features of two scripts or runs: one may switch more on than the other."""
    known = {name: each for name, each in before.items() if each["enabled"]}
    fresh = {name: each for name, each in now.items() if each["enabled"] or name not in known}
    return before | fresh


def differences(before: dict[str, Column], after: dict[str, Column]) -> list[str]:
    """A sentence for each cell that the notes change."""
    found = []
    for name, column in after.items():
        for row in ROWS:
            new = cell(row, column).status
            old = cell(row, before[name]).status if name in before else "-"
            if new not in (old, "-"):
                found.append(f"{name}: {row.title}: {new}, docs/kernels.md says {old}")
    return found


def write(record: dict[str, Column]) -> None:
    """Write record and document."""
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    DOCUMENT.write_text(render(record))


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Make docs/kernels.md of what tests noted.")
    parser.add_argument("--check", action="store_true", help="is the document what this makes?")
    parser.add_argument("--compare", action="store_true", help="say what the notes change")
    options = parser.parse_args()
    record = load_record()
    if options.check:
        if DOCUMENT.read_text() != render(record):
            print("docs/kernels.md is not what tools/kernels_doc.py makes: run make kernels-doc")
            return 1
    elif options.compare:
        for sentence in differences(record, merged(record)):
            print(f"{sentence} (make kernels-doc takes it over)")
    else:
        write(merged(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
