"""The minutes before a kill, out of the samples from before it: what one cgroup had and did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from memtrace.model.oom_shapes import Moment
from memtrace.model.shapes import Container, Snapshot
from memtrace.model.snapshot import snapshot
from memtrace.samples import CgroupSample, DriverRow, Memory, Sample

MAX_MOMENTS = 120
_NOTHING = Memory()


class Background(NamedTuple):
    """The samples before a kill, oldest first, and the last one described against the first."""

    samples: tuple[Sample, ...]
    last: Snapshot | None

    def container(self, cgroup_id: int) -> Container | None:
        """A cgroup at the last sample, with what changed since the first one.

        Its drivers are those of the growth in between first.
        """
        found = self.last.containers if self.last else ()
        made = next((c for c in found if c.source.cgroup_id == cgroup_id), None)
        return None if made is None else with_growth(made, self.samples)

    def path(self, cgroup_id: int) -> str | None:
        """Where a cgroup was, by any sample that had it."""
        found = self.latest(cgroup_id)
        return found.path if found else None

    def latest(self, cgroup_id: int) -> CgroupSample | None:
        """A cgroup at the last sample that had it."""
        every = (_of(sample, cgroup_id) for sample in reversed(self.samples))
        return next((found for found in every if found is not None), None)

    @property
    def root_id(self) -> int | None:
        """The id of the root of the memory hierarchy."""
        found = self.samples[-1].cgroups if self.samples else ()
        return next((c.cgroup_id for c in found if c.path == "/"), None)


def background(samples: Sequence[Sample]) -> Background:
    """Describe the samples once, for all kills that come after them."""
    if not samples:
        return Background((), None)
    first, last = samples[0], samples[-1]
    if first is last:
        return Background((last,), snapshot(last, None, None))
    return Background(tuple(samples), snapshot(last, first, last.monotonic - first.monotonic))


def moments(samples: Sequence[Sample], cgroup_id: int, kill: float) -> tuple[Moment, ...]:
    """The cgroup at each sample that had it, at most the last MAX_MOMENTS.

    `kill`: by the monotonic clock. The other one may have been set meanwhile.
    """
    made = []
    for sample in samples[-MAX_MOMENTS:]:
        found = _of(sample, cgroup_id)
        if found is not None:
            made.append(_moment(sample, found, max(0.0, kill - sample.monotonic)))
    return tuple(made)


def with_growth(container: Container, samples: Sequence[Sample]) -> Container:
    """Return it with its drivers' growth over all samples, largest first.

    A row tells its growth since the sample before: over all samples it is their sum.
    """
    grown: dict[tuple[object, ...], int] = {}
    here = container.source.path.rstrip("/")
    for sample in samples[1:]:
        for cgroup in sample.cgroups:
            if f"{cgroup.path}/".startswith(f"{here}/"):
                for row in cgroup.ledger.drivers:
                    grown[_cause(row)] = grown.get(_cause(row), 0) + row.recent_bytes
    drivers = [
        driver._replace(added_delta_bytes=grown.get(_cause(driver.row), 0))
        for driver in container.rows.drivers
    ]
    drivers.sort(key=lambda driver: (-(driver.added_delta_bytes or 0), -driver.added_bytes))
    return container._replace(rows=container.rows._replace(drivers=tuple(drivers)))


def _cause(row: DriverRow) -> tuple[object, ...]:
    return row.file, row.tgid, row.kind


def _of(sample: Sample, cgroup_id: int) -> CgroupSample | None:
    return next((c for c in sample.cgroups if c.cgroup_id == cgroup_id), None)


def _moment(sample: Sample, cgroup: CgroupSample, seconds_before: float) -> Moment:
    memory = cgroup.memory or _NOTHING
    return Moment(
        sample.time,
        round(seconds_before, 3),
        memory.usage_bytes,
        memory.anon_bytes,
        memory.file_bytes,
        memory.shmem_bytes,
        memory.kernel_bytes,
        memory.dirty_bytes,
        memory.swap_bytes,
        memory.refaulted_bytes,
        sum(cgroup.ledger.added),
        sum(cgroup.ledger.removed),
    )
