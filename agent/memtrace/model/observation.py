"""What was seen of one container in a number of samples: its figures, changes, and its verdict.

All changes count from the first sample that knows as much as the last one. Pure, so that the
same samples, live or recorded, give the same verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from memtrace.model.course import course, within
from memtrace.model.oom_history import with_growth
from memtrace.model.shapes import Container, Snapshot
from memtrace.model.snapshot import snapshot
from memtrace.samples import CgroupSample, Sample


class Observation(NamedTuple):
    """The container as of the last sample. `seconds`: over which its changes count."""

    snapshot: Snapshot
    container: Container
    seconds: float


def observe(samples: Sequence[Sample], cgroup_id: int) -> Observation | None:
    """Return what the samples, oldest first, tell of a cgroup; None: the last one has it not."""
    last = samples[-1]
    known = _of(last, cgroup_id)
    if known is None:
        return None
    seen = tuple(samples[_start(samples, known) :])
    first = seen[0] if len(seen) > 1 else None
    seconds = last.monotonic - seen[0].monotonic
    courses = {cgroup_id: course(seen, known.path)}
    made = snapshot(last, first, seconds if first else None, courses)
    container = next(one for one in made.containers if one.source.cgroup_id == cgroup_id)
    return Observation(made, with_growth(container, seen), seconds)


def _start(samples: Sequence[Sample], known: CgroupSample) -> int:
    """Return the first sample with all Go processes of the last, if it is one of the first half.

    They are found some samples after the start, and have no rates before that.
    """
    wanted = _go_processes(samples[-1], known.path)
    for index, sample in enumerate(samples[: (len(samples) + 1) // 2]):
        if wanted <= _go_processes(sample, known.path):
            return index
    return 0


def _go_processes(sample: Sample, path: str) -> set[tuple[int, int]]:
    return {
        (process.pid, process.start)
        for cgroup in sample.cgroups
        if cgroup.go and within(cgroup.path, path)
        for process in cgroup.go
        if process.heap is not None
    }


def _of(sample: Sample, cgroup_id: int) -> CgroupSample | None:
    return next((each for each in sample.cgroups if each.cgroup_id == cgroup_id), None)
