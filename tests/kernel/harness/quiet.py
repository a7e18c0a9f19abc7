"""A snapshot with the kernel's own figures of the same moment, taken when all is quiet.

The figures are read before and after the snapshot. memory.stat may lag by two seconds,
and some machines reclaim cold pages at any time: a moment that does not hold still, or
does not agree, is tried again, and the last one stands. Where memtrace says that its baseline is
still an estimate, it gets the time to look again: after a walk in vain it pauses, for up to 20 s.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.files import cached_pages
from tests.kernel.harness.memtrace import QUIET_SECONDS, Memtrace, Snapshot

TRIES = 4
SETTLING_SECONDS = 60.0


@dataclass(frozen=True)
class Kernel:
    """What the kernel says: (file, shmem) bytes by cgroup path, and cached pages by file."""

    memory: dict[str, tuple[int, int]]
    pages: dict[Path, int]


class Quiet(Snapshot):
    """A snapshot and what the kernel said at the same time."""

    def __init__(self, snapshot: Snapshot, kernel: Kernel) -> None:
        """Join the two."""
        self.data = snapshot.data
        self.kernel = kernel

    def cached(self, path: Path) -> int:
        """How many pages of a file the kernel held."""
        return self.kernel.pages[path]

    def agrees(self) -> bool:
        """Whether every known ledger equals the kernel's figure."""
        rows = {path: self.rows(path) for path in self.kernel.memory}
        return all(
            found and found[-1].attributed in (None, self.kernel.memory[path][0])
            for path, found in rows.items()
        )

    @property
    def settling(self) -> bool:
        """Whether some file's baseline is an estimate, by memtrace's own word."""
        return "not settled" in str(self["features"]["baseline"]["reason"])


def settle(memtrace: Memtrace, cgroups: Iterable[Cgroup], files: Iterable[Path]) -> Quiet:
    """Wait until nothing has happened for QUIET_SECONDS, then compare like with like."""
    cgroups, files = list(cgroups), list(files)
    tries, deadline = 0, time.monotonic() + SETTLING_SECONDS
    while tries < TRIES:
        time.sleep(QUIET_SECONDS)
        before = _kernel(cgroups, files)
        quiet = Quiet(memtrace.next(), before)
        if _kernel(cgroups, files) == before and quiet.agrees():
            break
        tries += not quiet.settling or time.monotonic() > deadline
    return quiet


def _kernel(cgroups: list[Cgroup], files: list[Path]) -> Kernel:
    memory = {each.path: (each.file_bytes(), each.shmem_bytes()) for each in cgroups}
    return Kernel(memory, {path: cached_pages(path) for path in files})
