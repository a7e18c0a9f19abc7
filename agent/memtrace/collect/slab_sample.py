"""One Sample that holds a census of kernel memory and the kernel's figures: nothing is attached."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from memtrace.collect.bare_sample import bare_sample, cgroup_figures
from memtrace.collect.census import CensusProgress, SlabCensus
from memtrace.collect.starting import EXIT_MISSING, EXIT_RUNTIME, LiveError, missing_privileges
from memtrace.host.hierarchy import Hierarchy, HostError, find_hierarchy, walk
from memtrace.kernel.plan import QUESTIONS, SLAB_CENSUS, make_plan
from memtrace.kernel.support import kernel_facts
from memtrace.samples import Sample


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
    cgroups = [
        replace(cgroup, slab=census.of(cgroup.cgroup_id))
        for cgroup in cgroup_figures(entries, hierarchy, root)
    ]
    sample = bare_sample(hierarchy, cgroups)
    return replace(sample, features=census.features(), census=census.state), hierarchy
