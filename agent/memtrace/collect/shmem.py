"""Makes the ledger of tmpfs and shared memory exact: compares it with a walk of tmpfs.

Additions are seen on the LRU: up to 31 pages per CPU late, and not at all when a page is
deleted before; pages go to swap and back without an event. A walk says what is there;
the difference is booked as added, or as removed for reason other, and the kernel side
takes every walked page as told (bpf/include/shmem.h).
It runs only after something happened, once it is quiet, and seldom in proportion to
what it costs. On a kernel that cannot be walked, what is late is told then, and no more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from memtrace.collect.baseline import Baseline, Key, Walker, resident_now
from memtrace.collect.cgroups import CgroupTree, Node
from memtrace.collect.ledger import FILE_SHMEM
from memtrace.kernel import wire

PATIENCE_SECONDS = 10.0
"""How long constant activity may put off a comparison."""
REST = 50.0
"""Least pause after a walk, as a multiple of its duration."""


class ShmemCheck:
    """Decides when to compare, compares, corrects. Figures are pages."""

    def __init__(
        self,
        walker: Walker,
        tree: CgroupTree,
        baseline: Baseline,
        gather: Callable[[], None],
        drain: Callable[[], None],
        can_walk: bool = True,
    ) -> None:
        self._walker = walker
        self._tree = tree
        self._baseline = baseline
        self._gather = gather
        self._drain = drain
        self._can_walk = can_walk
        self._figure: int | None = None
        self._active = False
        self._doubtful_since: float | None = None
        self._rested_at = 0.0
        self._touched: set[Key] | None = None
        self._devices: set[bytes] = set()  # as in a wire.FILE

    def is_shmem(self, file: bytes) -> bool:
        """Whether the file is on a tmpfs met by a walk: a removal alone does not say so."""
        return file[8:12] in self._devices

    def note_touch(self, cgroup: int, file: bytes) -> None:
        """A ledger row of a shmem file changed."""
        self._active = True
        if self._touched is not None:
            self._touched.add((cgroup, file))

    def note_figure(self, shmem: int | None) -> None:
        """The kernel's own figure for the whole node: a change without an event counts, too."""
        if shmem != self._figure:
            self._figure = shmem
            self._doubt()

    def check(self) -> None:
        """Compare and correct if there is reason to, and it is time. Raises BpfError."""
        quiet = not self._active
        if self._active:
            self._active = False
            self._doubt()
        now = time.monotonic()
        since = self._doubtful_since
        if since is None or now < self._rested_at:
            return
        if quiet or now - since > PATIENCE_SECONDS:
            self._compare()
            self._rested_at = time.monotonic() + REST * (time.monotonic() - now)

    def _doubt(self) -> None:
        if self._doubtful_since is None:
            self._doubtful_since = time.monotonic()

    def _compare(self) -> None:
        if self._can_walk:
            self._walker.load_walker()
        self._drain()  # or what is still to be told would be booked now and told later
        self._gather()
        if not self._can_walk:
            self._doubtful_since = None
            return
        self._touched = set()
        complete = self._walk()
        self._gather()
        moving, self._touched = self._touched, None
        found = resident_now(self._walker)
        self._doubtful_since = None
        if moving or not complete or self._baseline.unsettled:
            self._doubt()
        if complete:
            for node in list(self._tree.nodes.values()):
                self._correct(node, found, moving)

    def _walk(self) -> bool:
        """Count every shmem page; False when the answer is not whole."""
        whole, before = True, self._baseline.mounted()
        for index, superblock in self._walker.superblocks():
            if superblock.magic == wire.TMPFS_MAGIC:
                self._devices.add(superblock.device.to_bytes(4, "little"))
                walked = self._walker.walk(index, wire.WALK_COUNT | wire.WALK_NOW)
                whole = whole and not walked.torn and not walked.full
        return whole and before == self._baseline.mounted()

    def _correct(self, node: Node, found: dict[Key, int], moving: set[Key]) -> None:
        if node.ledger.baseline is None or node.ledger.unsettled:
            return
        files = node.ledger.files
        known = {f for f, e in files.items() if e.flags & FILE_SHMEM or self.is_shmem(f)}
        walked = {file for cgroup, file in found if cgroup == node.id}
        if node.ledger.cut_shmem:
            self._correct_sum(node, known | walked, found, moving)
            return
        for file in known | walked:
            if (node.id, file) in moving:
                continue
            there = found.get((node.id, file), 0)
            entry = files.get(file)
            before = entry.resident if entry else self._before(node, file)
            if there == before:
                continue
            if entry is None:
                node.ledger.hold(file, before)
            node.ledger.correct(file, there - before)

    def _correct_sum(
        self, node: Node, all_files: set[bytes], found: dict[Key, int], moving: set[Key]
    ) -> None:
        """Files were cut: who has what is not known any more, the sum is."""
        if any(cgroup == node.id for cgroup, _ in moving) or not all_files:
            return
        files = node.ledger.files
        told = node.ledger.cut_shmem
        for file in all_files:
            told += files[file].resident if file in files else self._before(node, file)
        there = sum(found.get((node.id, file), 0) for file in all_files)
        if there != told:
            node.ledger.correct(max(all_files), there - told)

    def _before(self, node: Node, file: bytes) -> int:
        """What a file without events had at the start."""
        return 0 if node.born else self._baseline.known(node.id, file)
