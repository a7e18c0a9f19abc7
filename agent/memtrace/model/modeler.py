"""Snapshots of one sample after another, at the cost of what changed between them.

A Modeler's snapshots equal those of snapshot(), which is the definition; it only
hands on what was worked out for the sample before.
"""

from __future__ import annotations

from memtrace.model.shapes import Snapshot
from memtrace.model.snapshot import Before, Memos, describe
from memtrace.samples import Sample


class Modeler:
    """Follows one source of samples. What is shared with the last sample costs least."""

    def __init__(self) -> None:
        self._sampled: float | None = None
        self._before: Before | None = None
        self._memos = Memos()

    def snapshot(self, sample: Sample) -> Snapshot:
        """Return what `sample` means after those given before."""
        elapsed = None if self._sampled is None else sample.monotonic - self._sampled
        made, self._before = describe(sample, self._before, elapsed, self._memos)
        self._sampled = sample.monotonic
        return made
