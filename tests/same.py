"""What two memtraces that watched the same must say alike. Guests use it: standard library only."""

from __future__ import annotations

import os
from typing import Any

TOTALS = ("added_bytes", "removed_bytes", "attributed_bytes")
# Of one interval, or asked of /proc at a moment of memtrace's own.
OF_A_MOMENT = ("stall_seconds", "disk_read_bytes", "disk_write_bytes", "peak_rss_bytes")
# What a kill's record says of the memtrace that wrote it, and of the moment of writing.
OF_THE_RECORD = (
    *("id", "time", "boot_ns", "verdict", "advice"),
    # Out of its samples, if one was taken in time.
    *("history", "io", "drivers", "top_files", "top_processes", "go"),
)
# Counters that other CPUs go on charging between one engine's probe and the other's, each in
# batches of 64 pages at most (MEMCG_CHARGE_BATCH), refused charges included; what follows of them.
COUNTED_LIVE = (
    ".oom_cgroup.usage",
    *(f".composition.{name}_bytes" for name in ("usage", "kernel", "unexplained")),
)
BETWEEN = 64 * 4096 * (os.cpu_count() or 1)


def said(row: dict[str, Any]) -> dict[str, Any]:
    """A container's totals, and its lists in an order that does not depend on when rows came."""
    lists = {
        name: sorted(map(comparable, row[name]), key=str)
        for name in ("io", "removed_by", "drivers", "files", "processes")
    }
    figures = {name: row["page_cache"][name] for name in TOTALS}
    return {**figures, **lists, "name": row["name"], "state": row["state"]}


def comparable(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of a list without what is of one interval or moment.

    Shared memory is told in batches: its row has the latest one's call, which is one of a moment.
    """
    skipped = (*OF_A_MOMENT, *(["syscall"] if entry.get("kind") == "shmem" else []))
    return {
        key: value
        for key, value in entry.items()
        if not key.endswith("delta_bytes") and key not in skipped
    }


def facts(record: dict[str, Any]) -> dict[str, Any]:
    """A kill's record without what belongs to the memtrace that wrote it, and to its samples."""
    kept = {key: value for key, value in record.items() if key not in OF_THE_RECORD}
    return {**kept, "gaps": [gap for gap in record["gaps"] if "no sample" not in gap]}


def differing(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two values differ, one line each; empty when they are the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [(f"{where}.{key}", one.get(key), other.get(key)) for key in sorted({*one, *other})]
        return [line for at, mine, others in pairs for line in differing(mine, others, at)]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        entries = enumerate(zip(one, other, strict=True))
        return [line for at, pair in entries for line in differing(*pair, f"{where}[{at}]")]
    if where.startswith(".composition.") and None in (one, other):
        return []  # one of them has not learned yet where the kernel keeps this figure
    if where in COUNTED_LIVE and None not in (one, other) and abs(one - other) <= BETWEEN:
        return []
    return [] if one == other else [f"{where}: {one!r} != {other!r}"]
