"""Takes some cgroups out of a recording, into one of its own. Changes no figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from memtrace.samples import CgroupSample
from memtrace.store.reader import Recording
from memtrace.store.writer import Writer


def keep(source: Path, target: Path, node: str, wanted: Callable[[CgroupSample], bool]) -> None:
    """Write what is wanted of each sample, on a node by that name. Raises StoreError."""
    writer = Writer(target, "kept")
    with Recording(source) as recording:
        for index in range(len(recording.moments)):
            sample = recording.sample(index)
            cgroups = tuple(filter(wanted, sample.cgroups))
            writer.append(replace(sample, node=node, cgroups=cgroups))
    writer.close()
    target.chmod(0o644)
