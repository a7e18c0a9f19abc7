"""What was cached before memtrace came, merged with the live ledger while I/O goes on.

For each file of each older cgroup: baseline = resident when walked - (added - removed)
by then. A file without events between the ledger read before the walk and the one
after it gives both figures for the same moment: exact. A file with events in
between is *unsettled*: it has a first estimate, and is walked again, alone, until it
was quiet around its walk. So the baseline is exact as soon as every file has been
quiet once, however busy the rest is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from heapq import heappush, heapreplace
from typing import Protocol

from memtrace.collect.cgroups import CgroupTree
from memtrace.collect.ledger import FILE_SHMEM, CgroupLedger, FilePages
from memtrace.collect.sieve import Sieve
from memtrace.kernel import wire
from memtrace.kernel.session import Walked

KEPT_FILES = 32
"""Largest baseline files of a cgroup held by name; the others stay in the kernel's map."""
MAX_WANTED = 16000
SETTLING_SHARE = 0.01
"""Of a CPU, that walks which settle nothing may take: beside hundreds of mounts each is dear."""

Key = tuple[int, bytes]
Progress = Callable[[int, int], None]
"""Called with (file systems walked, pages found) after each one; (0, 0) at the end."""


class Walker(Protocol):
    """The part of kernel.session.Session that a baseline needs."""

    def load_walker(self) -> None: ...
    def superblocks(self) -> Iterator[tuple[int, Walked]]: ...
    def walk(self, index: int, flags: int) -> Walked: ...
    def want(self, files: list[bytes]) -> None: ...
    def baseline_rows(self) -> Iterator[tuple[memoryview, memoryview, int]]: ...
    def resident_rows(self) -> Iterator[tuple[memoryview, memoryview, int]]: ...
    def baseline_row(self, cgroup: int, file: bytes) -> int: ...
    def forget_baseline_row(self, cgroup: int, file: bytes) -> None: ...
    def forget_baseline(self) -> None: ...


class Baseline:
    """Takes, settles and answers for the baseline. Figures are pages.

    `gather` must add the kernel's ledger to the tree and report each row's (cgroup,
    file) to `note_touch`.
    """

    def __init__(self, walker: Walker, tree: CgroupTree, gather: Callable[[], None]) -> None:
        self._walker = walker
        self._tree = tree
        self._gather = gather
        self._touched: set[Key] = set()
        self._unsettled: set[Key] = set()
        self._met = Sieve()
        self._walking = False
        self._settle_again = float("-inf")
        self.taken = False
        self.incomplete = ""
        self.files = 0
        self.pages = 0

    @property
    def unsettled(self) -> int:
        """Files whose baseline is still an estimate."""
        return len(self._unsettled)

    @property
    def listens(self) -> bool:
        """Whether a change of a row can mean anything to it now."""
        return self._walking or bool(self._unsettled)

    def note_touch(self, cgroup: int, file: bytes) -> None:
        """A ledger row changed; remembered only where it can unsettle a figure."""
        if self._walking or (cgroup, file) in self._unsettled:
            self._touched.add((cgroup, file))

    def known(self, cgroup: int, file: bytes) -> int:
        """The walked pages of a file that had no event yet; 0 when it had none."""
        asked = self.taken and file in self._met
        return self._walker.baseline_row(cgroup, file) if asked else 0

    def take(self, progress: Progress | None = None) -> None:
        """Walk everything. Raises BpfError."""
        self._walker.load_walker()
        self._walker.forget_baseline()
        self.taken = False  # rows of a walk still to be merged say nothing of quiet files
        self._gather()
        self._touched.clear()
        self._walking = True
        self._walk_all(progress)
        self._gather()
        self._walking = False
        self._merge(set(self._touched))
        self._touched.clear()
        self._tree.unwalked_baseline = 0
        self.taken = True

    def settle(self) -> None:
        """Walk unsettled files again if one of them was quiet lately. Raises BpfError."""
        due = time.monotonic() >= self._settle_again
        if not due or not self._unsettled or not (self._unsettled - self._touched):
            self._touched.clear()
            return
        began, before = time.thread_time(), len(self._unsettled)
        again = sorted(self._unsettled)[:MAX_WANTED]
        self._gather()
        self._touched.clear()
        self._walking = True
        whole = self._walk_files({file for _, file in again}, wire.WALK_COUNT | wire.WALK_NOW)
        self._gather()
        self._walking = False
        found = resident_now(self._walker)
        for cgroup, file in again if whole else ():
            self._resettle(cgroup, file, found.get((cgroup, file), 0))
        self._touched.clear()
        self._mark_unsettled()
        if len(self._unsettled) >= before:  # in vain: mounts came or went, or all were touched
            cost = time.thread_time() - began
            self._settle_again = time.monotonic() + cost / SETTLING_SHARE

    def forget(self, cgroup: int, file: bytes) -> None:
        """The file's entry was cut from its ledger: its walked pages are not known any more."""
        if self.taken and file in self._met:
            self._walker.forget_baseline_row(cgroup, file)

    def name(self, files: set[bytes]) -> None:
        """Have the paths of `files` told through the ring buffer. Raises BpfError."""
        self._walker.load_walker()
        self._walk_files(set(sorted(files)[:MAX_WANTED]), wire.WALK_NAMES)

    # --- walking ---

    def _walk_all(self, progress: Progress | None) -> None:
        self.files, self.pages, self.incomplete = 0, 0, ""
        before = self.mounted()
        for index, _ in self._walker.superblocks():
            walked = self._walker.walk(index, wire.WALK_COUNT)
            self.files += walked.files
            self.pages += walked.pages
            if walked.torn:
                self.incomplete = "a file system's inodes kept changing under the walk"
            if walked.full:
                self.incomplete = "more cached files than the walk has room for"
            if progress:
                progress(index + 1, self.pages)
        if before != self.mounted():
            self.incomplete = "file systems were mounted or unmounted under the walk"
        if progress:
            progress(0, 0)

    def _walk_files(self, files: set[bytes], flags: int) -> bool:
        """Walk only the file systems that hold `files`, and there only them."""
        self._walker.want(list(files))
        places = [wire.FILE.unpack(file) for file in files]
        devices = {device for _, device, _ in places}
        block_devices = any(inode == 0 for inode, _, _ in places)
        before = self.mounted()
        subvolumes = devices.difference(before)  # each with a device of its own
        whole = True
        for index, superblock in self._walker.superblocks():
            is_bdev = superblock.magic == wire.BDEVFS_MAGIC
            is_btrfs = superblock.magic == wire.BTRFS_MAGIC
            if (
                superblock.device in devices
                or (is_bdev and block_devices)
                or (is_btrfs and subvolumes)
            ):
                walked = self._walker.walk(index, flags | wire.WALK_WANTED)
                whole = whole and not walked.torn and not walked.full
        return whole and before == self.mounted()

    def mounted(self) -> list[int]:
        """The devices of all superblocks: walked by number, they must not move meanwhile."""
        return [superblock.device for _, superblock in self._walker.superblocks()]

    # --- merging ---

    def _merge(self, touched: set[Key]) -> None:
        """Set the baseline of every older cgroup from the walk's rows and the ledger."""
        older = {n.id: n.ledger for n in self._tree.nodes.values() if not n.born}
        for ledger in older.values():
            ledger.baseline = 0
            ledger.changed = True
            for entry in ledger.files.values():
                entry.baseline = 0
        moving = {file for _, file in touched}
        seen: set[Key] = set()
        largest: dict[int, list[tuple[int, bytes, int]]] = {}
        self._unsettled.clear()
        self._met.clear()
        for cgroup, file, pages, shmem in decoded(self._walker.baseline_rows()):
            owner = older.get(cgroup)
            if owner is None:
                continue
            self._met.add(file)
            if file in moving:
                self._unsettled.add((cgroup, file))
                owner.files.setdefault(file, FilePages())
            self._merge_row(owner, cgroup, file, pages, shmem, seen, largest)
        for cgroup, ledger in older.items():
            self._hold_largest(ledger, largest.get(cgroup, []))
            self._merge_unwalked(ledger, cgroup, seen)
            ledger.baseline = (ledger.baseline or 0) - ledger.net
            ledger.cut_shmem = 0
            ledger.largest_files.forget()
        self._unsettled |= {key for key in touched if key[0] in older}
        self._mark_unsettled()

    def _merge_row(
        self,
        ledger: CgroupLedger,
        cgroup: int,
        file: bytes,
        pages: int,
        shmem: int,
        seen: set[Key],
        largest: dict[int, list[tuple[int, bytes, int]]],
    ) -> None:
        entry = ledger.files.get(file)
        if entry is not None:
            seen.add((cgroup, file))
            entry.baseline = pages - entry.net
            entry.flags |= FILE_SHMEM if shmem else 0
        else:
            heap = largest.setdefault(cgroup, [])
            item = (pages, file, shmem)
            if len(heap) < KEPT_FILES:
                heappush(heap, item)
            elif heap[0] < item:
                heapreplace(heap, item)
        ledger.baseline = (ledger.baseline or 0) + pages

    def _hold_largest(self, ledger: CgroupLedger, largest: list[tuple[int, bytes, int]]) -> None:
        for pages, file, shmem in largest:
            entry = ledger.files[file] = FilePages()
            entry.baseline = pages
            entry.flags = FILE_SHMEM if shmem else 0

    def _merge_unwalked(self, ledger: CgroupLedger, cgroup: int, seen: set[Key]) -> None:
        """Files of the ledger with nothing left to walk: all they ever had is gone."""
        for file, entry in ledger.files.items():
            if entry.net and (cgroup, file) not in seen:
                entry.baseline = -entry.net

    def _resettle(self, cgroup: int, file: bytes, resident: int) -> None:
        node = self._tree.nodes.get(cgroup)
        if node is None:
            self._unsettled.discard((cgroup, file))
            return
        entry = node.ledger.files.get(file)
        if (cgroup, file) in self._touched:
            self._unsettled.add((cgroup, file))
            return
        if entry is None:
            entry = node.ledger.files[file] = FilePages()
        pages = resident - entry.net
        node.ledger.baseline = (node.ledger.baseline or 0) + pages - entry.baseline
        node.ledger.changed = True
        entry.baseline = pages
        node.ledger.largest_files.touch(file)
        self._unsettled.discard((cgroup, file))

    def _mark_unsettled(self) -> None:
        doubtful: dict[int, set[bytes]] = {}
        for cgroup, file in self._unsettled:
            doubtful.setdefault(cgroup, set()).add(file)
        for node in self._tree.nodes.values():
            node.ledger.unsettled = node.id in doubtful
            node.ledger.spared = frozenset(doubtful.get(node.id, ()))


Chunks = Iterator[tuple[memoryview, memoryview, int]]


def decoded(chunks: Chunks) -> Iterator[tuple[int, bytes, int, int]]:
    """Rows of a walk: cgroup, file, pages, and 1 for tmpfs or shared memory."""
    for keys, values, count in chunks:
        pairs = zip(
            wire.BASELINE_KEY.iter_unpack(keys[: count * wire.BASELINE_KEY.size]),
            wire.BASELINE_VALUE.iter_unpack(values[: count * wire.BASELINE_VALUE.size]),
            strict=True,
        )
        for (cgroup, file), (pages, _, shmem) in pairs:
            yield cgroup, file, pages, shmem


def resident_now(walker: Walker) -> dict[Key, int]:
    """What a walk with WALK_NOW found: pages by cgroup and file."""
    return {(cgroup, file): pages for cgroup, file, pages, _ in decoded(walker.resident_rows())}
