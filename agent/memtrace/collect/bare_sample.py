"""Samples without a ledger, for commands that attach nothing: cgroups, names and figures."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from memtrace.host.cgroupfs import CgroupReader
from memtrace.host.hierarchy import CgroupEntry, Hierarchy
from memtrace.host.identity import Resolver
from memtrace.host.procfs import node_name
from memtrace.samples import CgroupSample, Ledger, Sample


def cgroup_figures(
    entries: Sequence[CgroupEntry], hierarchy: Hierarchy, root: Path
) -> list[CgroupSample]:
    """All of these cgroups that are still there, parents first, with the kernel's figures now."""
    reader = CgroupReader(hierarchy)
    memory = {entry.id: reader.read(entry.id, entry.path) for entry in entries}
    reader.close()
    resolver = Resolver(root)
    for entry in reversed(entries):  # a pod is named by what is below it
        resolver.resolve(entry.id, entry.path)
    return [
        CgroupSample(
            entry.id,
            entry.parent_id,
            entry.path,
            resolver.resolve(entry.id, entry.path),
            "running",
            memory[entry.id],
            Ledger(),
        )
        for entry in entries
        if memory[entry.id] is not None or entry.parent_id is None
    ]


def bare_sample(hierarchy: Hierarchy, cgroups: Iterable[CgroupSample]) -> Sample:
    """A sample of these cgroups as of now."""
    return Sample(
        time=time.time(),
        monotonic=time.monotonic(),
        node=node_name(),
        cgroup_mode=hierarchy.mode,
        engine="libbpf",
        cgroups=tuple(cgroups),
        cpus=os.cpu_count(),
        page_bytes=os.sysconf("SC_PAGE_SIZE"),
    )
