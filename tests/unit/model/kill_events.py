"""Kills made by hand: a container web of pod shop/web-0, 64 MiB, below its pod, below the root."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from memtrace.kills import KERNEL, OomEvent, OomLevel, OomTask
from memtrace.samples import Identity, Ledger, Memory, Sample
from tests.unit.model.builders import MIB, added, cgroup, driver, file, sample

ROOT, POD, WEB = 1, 5, 7
LIMIT = 64 * MIB
NAMES = {
    POD: Identity("pod", "web-0", namespace="shop", pod="web-0"),
    WEB: Identity("container", "web", "containerd", "shop", "web-0", "web", "shop/web:1"),
}
MONOTONIC = 100.0
MEMORY = {"anon": 60 * MIB, "file": 3 * MIB, "shmem": 0, "file_dirty": MIB, "slab_reclaimable": 0}


def task(pid: int = 42, anon: int = 60 * MIB, cgroup_id: int | None = WEB) -> OomTask:
    """A process of the container."""
    return OomTask(
        *(pid, pid, 1, 0, "java", 0, cgroup_id),
        anon_bytes=anon,
        file_bytes=MIB,
        shmem_bytes=0,
        peak_bytes=anon + MIB,
    )


def levels(
    web: int | None = LIMIT, pod: int | None = None, usage: int = LIMIT
) -> tuple[OomLevel, ...]:
    """The three cgroups with these limits."""
    rows = ((WEB, "/pod/web", web), (POD, "/pod", pod), (ROOT, "/", None))
    return tuple(
        OomLevel(number, path, usage, limit, usage, None, MIB) for number, path, limit in rows
    )


def event(**changed: Any) -> OomEvent:
    """The container killed at its limit by its own allocation."""
    made = OomEvent(
        KERNEL,
        1100.0,
        5_000,
        monotonic=MONOTONIC,
        victims=(task(),),
        trigger=task(),
        cgroup_id=WEB,
        total_bytes=LIMIT,
        order=0,
        gfp_mask=0xCC0,
        levels=levels(),
        memory=MEMORY,
    )
    return replace(made, **changed)


def past(count: int = 3, baseline: int | None = 0) -> list[Sample]:
    """Samples one second apart up to the kill: anonymous memory doubles, one file is written."""
    made = []
    for number in range(count):
        anon = (60 * MIB) >> (count - number)
        memory = Memory(
            limit_bytes=LIMIT,
            usage_bytes=anon + MIB,
            anon_bytes=anon,
            file_bytes=MIB,
            shmem_bytes=0,
            kernel_bytes=0,
            active_file_bytes=0,
        )
        ledger = Ledger(
            added=added(write=(number + 1) * MIB),
            drivers=(driver((number + 1) * MIB, recent=MIB),),
            files=(file((number + 1) * MIB),),
            baseline_bytes=baseline,
        )
        rows = (
            cgroup(ROOT, None, "/", memory=Memory(usage_bytes=900 * MIB)),
            cgroup(POD, ROOT, "/pod", memory=memory, identity=NAMES[POD]),
            cgroup(WEB, POD, "/pod/web", memory=memory, ledger=ledger, identity=NAMES[WEB]),
        )
        at = MONOTONIC - count + number + 0.5
        made.append(replace(sample(*rows), monotonic=at, time=1100.0 - MONOTONIC + at))
    return made
