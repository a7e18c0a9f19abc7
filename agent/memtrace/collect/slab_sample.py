"""One Sample that holds a census of kernel memory and the kernel's figures: nothing is attached."""

from __future__ import annotations

import os
import time
from pathlib import Path

from memtrace.collect.census import CensusProgress, SlabCensus
from memtrace.collect.live import EXIT_MISSING, EXIT_RUNTIME, LiveError, missing_privileges
from memtrace.host.cgroupfs import CgroupReader
from memtrace.host.hierarchy import CgroupEntry, Hierarchy, HostError, find_hierarchy, walk
from memtrace.host.identity import Resolver
from memtrace.kernel.plan import QUESTIONS, SLAB_CENSUS, make_plan
from memtrace.kernel.support import kernel_facts
from memtrace.samples import CgroupSample, Ledger, Sample


def slab_sample(
    root: Path = Path("/"), progress: CensusProgress | None = None
) -> tuple[Sample, Hierarchy]:
    """What every cgroup holds of kernel memory now. Raises LiveError with the exit code."""
    facts = kernel_facts(QUESTIONS)
    lacking = missing_privileges(facts)
    if lacking:
        sentence = f"reading kernel memory needs {' and '.join(lacking)}; run it with sudo"
        raise LiveError(sentence, EXIT_MISSING)
    feature = make_plan(facts).features[SLAB_CENSUS]
    if not feature.enabled:
        sentence = f"{feature.reason}; `memtrace doctor` lists what this kernel lacks"
        raise LiveError(sentence, EXIT_MISSING)
    try:
        hierarchy = find_hierarchy(root)
    except HostError as error:
        raise LiveError(str(error), EXIT_MISSING) from error
    census = SlabCensus(feature, root)
    entries = list(walk(hierarchy))
    if not census.take([entry.id for entry in entries], progress):
        raise LiveError(census.state.reason, EXIT_RUNTIME)
    return _sample(entries, census, hierarchy, root), hierarchy


def _sample(
    entries: list[CgroupEntry], census: SlabCensus, hierarchy: Hierarchy, root: Path
) -> Sample:
    return Sample(
        time=time.time(),
        monotonic=time.monotonic(),
        node=os.uname().nodename,
        cgroup_mode=hierarchy.mode,
        engine="libbpf",
        cgroups=_cgroups(entries, census, hierarchy, root),
        features=census.features(),
        cpus=os.cpu_count(),
        page_bytes=os.sysconf("SC_PAGE_SIZE"),
        census=census.state,
    )


def _cgroups(
    entries: list[CgroupEntry], census: SlabCensus, hierarchy: Hierarchy, root: Path
) -> tuple[CgroupSample, ...]:
    """All cgroups that are still there; the figures are read right after the census."""
    reader = CgroupReader(hierarchy)
    memory = {entry.id: reader.read(entry.id, entry.path) for entry in entries}
    reader.close()
    resolver = Resolver(root)
    for entry in reversed(entries):  # a pod is named by what is below it
        resolver.resolve(entry.id, entry.path)
    return tuple(
        CgroupSample(
            entry.id,
            entry.parent_id,
            entry.path,
            resolver.resolve(entry.id, entry.path),
            "running",
            memory[entry.id],
            Ledger(),
            slab=census.of(entry.id),
        )
        for entry in entries
        if memory[entry.id] is not None or entry.parent_id is None
    )
