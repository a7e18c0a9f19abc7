"""Containers made by hand, in MiB, and the verdict on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from memtrace.model.observation import observe
from memtrace.model.shapes import Verdict
from memtrace.model.snapshot import snapshot
from memtrace.samples import (
    CgroupSample,
    GoCycles,
    GoHeap,
    GoProcess,
    Identity,
    Ledger,
    Memory,
    Sample,
)
from tests.unit.model.builders import MIB, added, cgroup, sample

IN_KUBERNETES = Identity("container", "app", "containerd", "shop", "app-0", "app", "shop/app:1")
MACHINE = 8192


def memory(anon: int, file: int = 0, limit: int | None = None, **more: int) -> Memory:
    """All figures known; `more` of them in MiB, without the ending _bytes."""
    kernel, swap = more.pop("kernel", 0), more.pop("swap", 0)
    figures = {
        "shmem": 0,
        "dirty": 0,
        "writeback": 0,
        "refaulted": 0,
        "sock": 0,
        "active_file": 0,
        "inactive_file": file,
        **more,
    }
    return Memory(
        limit_bytes=None if limit is None else limit * MIB,
        usage_bytes=(anon + file + kernel) * MIB,
        anon_bytes=anon * MIB,
        file_bytes=file * MIB,
        kernel_bytes=kernel * MIB,
        swap_bytes=swap * MIB,
        **{f"{name}_bytes": amount * MIB for name, amount in figures.items()},
    )


def heap(live: int, goal: int | None = None, mapped: int | None = None, **more: Any) -> GoHeap:
    """A heap of so many MiB live; its goal is twice that, and so much is mapped."""
    goal = 2 * live if goal is None else goal
    mapped = goal if mapped is None else mapped
    made = GoHeap(100, None, 2, live * MIB, live * MIB, 0, 0, goal * MIB, mapped * MIB, 0, 0)
    limit = more.pop("gomemlimit", None)
    return made._replace(gomemlimit_bytes=None if limit is None else limit * MIB, **more)


def process(one: GoHeap, gc: GoCycles | None = None, pid: int = 7, **more: Any) -> GoProcess:
    """A Go process with this heap."""
    return GoProcess(pid, 1, "app", "go", version="go1.25.5", heap=one, gc=gc, **more)


def one(
    figures: Memory, *go: GoProcess, identity: Identity = IN_KUBERNETES, **more: Any
) -> CgroupSample:
    """The container /app, whose ledger explains all of its cache."""
    ledger = Ledger(added=added(read=figures.file_bytes or 0), baseline_bytes=0)
    made = cgroup(2, 1, "/app", memory=figures, ledger=ledger, identity=identity)
    return replace(made, go=go or None, **more)


def at(seconds: float, container: CgroupSample, used: int = 1000, cpus: int = 2) -> Sample:
    """A machine of MACHINE MiB, of which `used` are in use, with this container."""
    root = cgroup(1, path="/", memory=memory(used))
    made = sample(root, container, cpus=cpus)
    return replace(made, monotonic=seconds, time=seconds, machine_bytes=MACHINE * MIB)


def judged(now: Sample, before: Sample | None = None) -> Verdict:
    """The verdict of top: on two samples."""
    elapsed = None if before is None else now.monotonic - before.monotonic
    return snapshot(now, before, elapsed).containers[1].verdict


def explained(samples: Sequence[Sample]) -> Verdict:
    """The verdict of explain: on all of them."""
    seen = observe(samples, 2)
    assert seen is not None
    return seen.container.verdict


def told(verdict: Verdict) -> dict[str, Any]:
    """Its evidence by name."""
    return {each.text: each.value for each in verdict.evidence}


def advised(verdict: Verdict, setting: str) -> Any:
    """What it advises for a setting."""
    return next(each for each in verdict.advice if each.setting == setting)
