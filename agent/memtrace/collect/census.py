"""Takes the census of kernel memory when it is asked for, and keeps what it told.

What is not asked for costs nothing: the program is loaded for one census and unloaded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from memtrace.kernel.errors import BpfError
from memtrace.kernel.plan import SLAB_CENSUS
from memtrace.samples import Census, Feature, Slab

CensusProgress = Callable[[float], None]
"""Called with the part that is done, 0 to 1, some dozen times."""


class SlabCensus:
    """The last census. `feature` says whether this kernel can, and why the last one failed."""

    def __init__(self, feature: Feature, root: Path = Path("/")) -> None:
        self.feature = feature
        self._possible = feature
        self._root = root
        self._slabs: dict[int, Slab] = {}
        self._taken_at: float | None = None
        self._census = Census(reason="" if feature.enabled else feature.reason)

    def take(self, cgroups: Collection[int], progress: CensusProgress | None = None) -> bool:
        """Count everything now, for these cgroups; False when it failed, and `state` says why."""
        from memtrace.kernel.census import CensusError

        if not self._possible.enabled:
            return False
        try:
            self._take(cgroups, progress)
            self.feature = self._possible
        except (BpfError, CensusError, OSError) as error:
            self.feature = Feature(False, f"no census of kernel memory: {error}")
            self._census = Census(reason=self.feature.reason)
            self._slabs, self._taken_at = {}, None
            return False
        return True

    def of(self, cgroup: int) -> Slab | None:
        """What a cgroup itself held; the very same until the next census."""
        return self._slabs.get(cgroup)

    def age(self) -> float | None:
        """Seconds since the last census; None: there was none."""
        return None if self._taken_at is None else time.monotonic() - self._taken_at

    @property
    def state(self) -> Census:
        """For the sample."""
        return replace(self._census, age_seconds=self.age())

    def features(self) -> dict[str, Feature]:
        """For the sample."""
        return {SLAB_CENSUS: self.feature}

    def _take(self, cgroups: Collection[int], progress: CensusProgress | None) -> None:
        from memtrace.collect.slab_rows import decode
        from memtrace.kernel.census import Census as Walk

        started = time.monotonic()
        with Walk(self._root) as walk:
            for done in walk.walk():
                if progress:
                    progress(done)
            held = decode(walk.holdings(), walk.caches(), cgroups, walk.knows_page_tables)
            self._slabs, self._taken_at = held.slabs, time.monotonic()
            self._census = Census(
                cost_seconds=self._taken_at - started,
                longest_seconds=walk.longest_run,
                slab_bytes=walk.slab_pages * os.sysconf("SC_PAGE_SIZE"),
                nobody=held.nobody,
                lost_bytes=held.lost_bytes + walk.full,
                odd_slabs=walk.odd,
            )
