"""Snapshots of one sample after another, at the cost of what changed between them.

A Modeler's snapshots equal those of snapshot(), which is the definition; it only
hands on what was worked out for the sample before.
"""

from __future__ import annotations

from memtrace.model.known import Known
from memtrace.model.shapes import Snapshot
from memtrace.model.snapshot import describe
from memtrace.samples import Sample


class Modeler:
    """Follows one source of samples. What is shared with the last sample costs least."""

    def __init__(self) -> None:
        self._sampled: float | None = None
        self._known: Known | None = None

    def snapshot(self, sample: Sample) -> Snapshot:
        """Return what `sample` means after those given before."""
        elapsed = None if self._sampled is None else sample.monotonic - self._sampled
        made, self._known = describe(sample, self._known, elapsed)
        self._sampled = sample.monotonic
        return made
