"""The loaded programs as one thing: attach, read an interval's ledger, walk, close.

Acts on a Plan; decodes nothing beyond chunks of bytes, decides nothing.
"""

from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from memtrace.kernel import wire
from memtrace.kernel.closing import Closing
from memtrace.kernel.engines import OBJECTS as OBJECTS
from memtrace.kernel.engines import Engine, LibbpfEngine
from memtrace.kernel.errors import BpfError
from memtrace.kernel.objects import LoadedObject
from memtrace.kernel.plan import CGROUP_EVENTS, PROCESS_EVENTS, Plan
from memtrace.kernel.programs import LoadedProgram
from memtrace.kernel.ring import RingBuffer
from memtrace.kernel.slab_probe import SlabProbe
from memtrace.kernel.sysfiles import cpu_list, text

_EVENT_MAPS = ("events", "losses")
_LEDGER_MAPS = ("slots", "control", "ledger_a", "ledger_b", "totals", "empty_total")
_TOLD_MAPS = ("shmem_told",)
_NAME_MAPS = ("named_files", "named_tasks", "path_scratch")
_OWNER_MAPS = ("removed_owners",)
_OWNER_OBJECTS = ("page_cache", "shmem", "baseline", "reparent")
ON_DEMAND_MAPS = (*_EVENT_MAPS, *_LEDGER_MAPS, *_NAME_MAPS, *_OWNER_MAPS)
"""Shared by default with what is loaded on demand; an object that includes uses.h has them all."""
INTERRUPTED = frozenset({"on_mod_memcg_lruvec_state"})
"""Programs of events that interrupts cause, too, but none that is counted: nothing is lost."""
ONLINE_CPUS = Path("/sys/devices/system/cpu/online")
POSSIBLE_NODES = Path("/sys/devices/system/node/possible")
_ZERO = struct.pack("<I", 0)
_FLUSH_TRIES = 1000
MAX_SUPERBLOCKS = 100_000
MISSES_SECONDS = 5.0


class Walked(NamedTuple):
    """One superblock walked: what the walk program answered."""

    found: bool
    inodes: int
    files: int
    pages: int
    full: int
    restarts: int
    torn: bool
    device: int
    magic: int


class Session(Closing):
    """Everything memtrace has in the kernel. `close` (or the process' end) removes it all.

    Every method raises BpfError with libbpf's own words, making it EngineError, too.
    """

    def __init__(self, plan: Plan, memory_hierarchy: int, engine: Engine | None = None) -> None:
        self._engine = engine or LibbpfEngine()
        self._objects: list[LoadedObject] = []
        self._walker: LoadedObject | None = None
        self._slab: SlabProbe | None = None
        self._ring: RingBuffer | None = None
        self._anchor = os.open("/", os.O_RDONLY | os.O_CLOEXEC)
        self._epoch = 0
        self._misses, self._misses_again = 0, float("-inf")
        self.unflushed = 0  # CPUs whose slots stayed busy: their runs come an interval late
        try:
            self._load(plan, memory_hierarchy)
        except BaseException:
            self.close()
            raise

    def gather(self) -> Iterator[tuple[memoryview, memoryview, int]]:
        """The ledger's rows since the last call, each exactly once: (keys, values, count).

        Flips the ledgers, moves every CPU's pending run into the one just left, and
        drains that one; keys are LEDGER_KEY, values LEDGER_VALUE.
        """
        old = self._epoch
        self._epoch = old ^ 1
        self._control.put(_ZERO, wire.CONTROL.pack(self._epoch))
        context = bytearray(struct.pack("<Q", old))
        for cpu in cpu_list(text(ONLINE_CPUS)):
            self.unflushed += not _flush(self._flush, context, cpu)
        return self._ledgers[old].drain()

    def totals(self) -> Iterator[tuple[memoryview, memoryview, int]]:
        """Every cgroup's cumulative totals: keys u64 cgroup, values TOTAL."""
        return self._totals.items()

    def total(self, cgroup: int) -> bytes | None:
        """One cgroup's cumulative totals (wire.TOTAL); None before its first page."""
        return self._totals.get(struct.pack("<Q", cgroup))

    def drop_total(self, cgroup: int) -> None:
        """Forget a released cgroup's totals."""
        self._totals.delete(struct.pack("<Q", cgroup))

    def losses(self) -> list[int]:
        """Cumulative losses, indexed by wire.LOSS_*."""
        chunks = self._losses.items()
        return [amount for _, values, _ in chunks for amount in values.cast("Q")]

    def recursion_misses(self) -> int:
        """Events the kernel skipped because a program was already running on that CPU.

        As of at most `MISSES_SECONDS` ago: every program is asked for.
        """
        if time.monotonic() >= self._misses_again:
            told = (opened.recursion_misses(INTERRUPTED) or 0 for opened in self._objects)
            self._misses, self._misses_again = sum(told), time.monotonic() + MISSES_SECONDS
        return self._misses

    def run_stats(self) -> tuple[int, int]:
        """Nanoseconds in the programs that are always attached, and their runs.

        Both stand still unless kernel.bpf_stats_enabled is 1.
        """
        times = sum(opened.run_time_ns() for opened in self._lasting)
        return times, sum(opened.run_count() for opened in self._lasting)

    def capacity(self) -> tuple[int, int]:
        """How many rows an interval ledger holds, and the totals."""
        return self._ledgers[0].max_entries, self._totals.max_entries

    def drain_events(self, callback: Callable[[memoryview], None]) -> int:
        """Hand every waiting event to `callback`; return how many."""
        return self._open_ring().drain(callback)

    def fileno(self) -> int:
        """Readable when the ring buffer is filling up; give the session to select()."""
        return self._open_ring().fileno()

    def forget_file(self, file: bytes) -> None:
        """Have the file's path told again at its next sight."""
        self._named_files.delete(file)

    def removed_owners(self) -> Iterator[tuple[bytes, int]]:
        """Where a removed cgroup's pages go over to its parent: (key, the removed cgroup)."""
        if not self._reparents:
            return
        for keys, values, count in self._removed_owners.items():
            for number, cgroup in enumerate(values[: count * 8].cast("Q")):
                yield bytes(keys[number * 8 : number * 8 + 8]), cgroup

    def drop_removed_owner(self, key: bytes) -> None:
        """From here on the pages of this owner are the cgroup's that the kernel charges."""
        self._removed_owners.delete(key)

    @property
    def engine(self) -> str:
        """The engine's name."""
        return self._engine.name

    @property
    def drained_epoch(self) -> int:
        """Which of two tables (0: a, 1: b) nobody fills since the last `gather`."""
        return self._epoch ^ 1

    # --- on demand ---

    def load(
        self,
        name: str,
        programs: Sequence[str],
        rodata: dict[str, bytes],
        share: tuple[str, ...] = ON_DEMAND_MAPS,
    ) -> LoadedObject:
        """Load an object that is wanted for a while and attach these programs of it, no others."""
        opened = self._engine.open(name, rodata)
        try:
            for shared in share:
                opened.reuse_map(shared, self._objects[0].map(shared))
            for program in opened.programs():
                opened.autoload(program, program in programs)
            opened.load()
            for program in programs:
                opened.attach(program)
        except BaseException:
            opened.close()
            raise
        self._objects.append(opened)
        return opened

    def unload(self, opened: LoadedObject) -> None:
        """Detach and unload what `load` gave."""
        self._objects.remove(opened)
        opened.close()

    def watch_slab(self) -> SlabProbe:
        """Watch who has kernel objects allocated, until the probe is closed.

        Runs of it that the kernel skips are no loss: what interrupts allocate is not reclaimable.
        """
        opened = self.load("slab", ["on_kmem_cache_alloc"], {}, _EVENT_MAPS + _NAME_MAPS)
        self._objects.remove(opened)
        self._slab = SlabProbe(opened)
        return self._slab

    # --- baseline ---

    def load_walker(self) -> None:
        """Load the baseline walker and its maps; does nothing when it is there."""
        if self._walker is None:
            shared = _EVENT_MAPS + _NAME_MAPS + _TOLD_MAPS + _OWNER_MAPS
            self._walker = self._object("baseline", self.devices, shared)

    def superblocks(self) -> Iterator[tuple[int, Walked]]:
        """Every superblock's index, device and magic; nothing of it is walked."""
        for index in range(MAX_SUPERBLOCKS):
            answer = self.walk(index, 0)
            if not answer.found:
                return
            yield index, answer

    def walk(self, index: int, flags: int) -> Walked:
        """Walk superblock number `index`; `found` is False past the last one."""
        walker = self._loaded_walker()
        context = bytearray(wire.WALK.pack(self._anchor, flags, index, 0, *[0] * 8))
        walker.run("walk", context)
        _, _, _, found, *answer = wire.WALK.unpack(context)
        inodes, files, pages, full, restarts, torn, device, magic = answer
        return Walked(bool(found), inodes, files, pages, full, restarts, bool(torn), device, magic)

    def want(self, files: list[bytes]) -> None:
        """Make `files` (wire.FILE each) the whole set a filtered walk looks at."""
        wanted = self._loaded_walker().map("wanted")
        for _ in wanted.drain():
            pass
        for file in files:
            wanted.put(file, struct.pack("<I", 1))

    def baseline_rows(self) -> Iterator[tuple[memoryview, memoryview, int]]:
        """Every row of the last walks: keys BASELINE_KEY, values BASELINE_VALUE."""
        return self._loaded_walker().map("baseline").items()

    def resident_rows(self) -> Iterator[tuple[memoryview, memoryview, int]]:
        """Every row of the last walks with WALK_NOW, once: keys and values as in the baseline."""
        return self._loaded_walker().map("resident").drain()

    def baseline_row(self, cgroup: int, file: bytes) -> int:
        """Pages of one file charged to one cgroup when it was walked; 0 when there were none."""
        value = self._loaded_walker().map("baseline").get(wire.BASELINE_KEY.pack(cgroup, file))
        return int(wire.BASELINE_VALUE.unpack(value)[0]) if value else 0

    def forget_baseline_row(self, cgroup: int, file: bytes) -> None:
        """Remove one row, before its file is walked again."""
        self._loaded_walker().map("baseline").delete(wire.BASELINE_KEY.pack(cgroup, file))

    def forget_baseline(self) -> None:
        """Remove every row, before everything is walked again."""
        for name in ("baseline", "told_cgroups"):
            for _ in self._loaded_walker().map(name).drain():
                pass

    # --- life ---

    def close(self) -> None:
        """Detach and unload everything. May be called twice."""
        if self._ring is not None:
            self._ring.close()
        if self._slab is not None:
            self._slab.close()
        for opened in reversed(self._objects):
            opened.close()
        self._objects.clear()
        if self._anchor >= 0:
            os.close(self._anchor)
            self._anchor = -1

    def _load(self, plan: Plan, memory_hierarchy: int) -> None:
        back, forward = map(_u32, plan.subvolumes)
        nodes = {"cfg_memory_nodes": _u32(max(cpu_list(text(POSSIBLE_NODES)), default=0) + 1)}
        self.devices = {"cfg_btrfs_root": back, "cfg_btrfs_device": forward, **nodes}
        self._reparents = plan.reparents
        page_cache = self._object(plan.page_cache, self.devices)
        self._ring = RingBuffer(page_cache.map("events"))
        self._losses = page_cache.map("losses")
        self._control = page_cache.map("control")
        self._ledgers = (page_cache.map("ledger_a"), page_cache.map("ledger_b"))
        self._totals = page_cache.map("totals")
        self._named_files = page_cache.map("named_files")
        self._removed_owners = page_cache.map("removed_owners")
        self._flush = page_cache.program("flush")
        if plan.shmem:
            shared = (*_EVENT_MAPS, *_LEDGER_MAPS, *_NAME_MAPS, *_TOLD_MAPS, *_OWNER_MAPS)
            pages = "_pages" if plan.pages else ""
            self._attach_all(self._object(f"shmem{pages}", nodes, share=shared))
        hierarchy = {"cfg_memory_hierarchy": _u32(memory_hierarchy)}
        events = [*CGROUP_EVENTS] if plan.cgroup_events else []
        events += PROCESS_EVENTS if plan.process_events else ()
        if events:
            programs = [f"on_{event}" for event in events]
            self.load("lifecycle", programs, hierarchy, _EVENT_MAPS + _NAME_MAPS)
        if plan.cgroup_events and plan.reparents:  # after its event, or a row comes without a name
            rodata = hierarchy | nodes
            self._attach_all(self._object("reparent", rodata, share=_EVENT_MAPS + _OWNER_MAPS))
        page_cache.attach("on_mm_filemap_delete_from_page_cache")
        page_cache.attach("on_mm_filemap_add_to_page_cache")
        self._lasting = tuple(self._objects)

    def _object(
        self,
        name: str,
        rodata: dict[str, bytes] | None = None,
        share: tuple[str, ...] = (),
    ) -> LoadedObject:
        opened = self._engine.open(name, rodata)
        self._objects.append(opened)
        if not self._reparents and name.removesuffix("_pages") in _OWNER_OBJECTS:
            opened.set_max_entries("removed_owners", 1)
        for shared in share:
            opened.reuse_map(shared, self._objects[0].map(shared))
        opened.load()
        return opened

    def _attach_all(self, opened: LoadedObject) -> None:
        for name in opened.programs():
            opened.attach(name)

    def _open_ring(self) -> RingBuffer:
        if self._ring is None:
            raise ValueError("the session is closed")
        return self._ring

    def _loaded_walker(self) -> LoadedObject:
        if self._walker is None:
            raise ValueError("the baseline walker is not loaded")
        return self._walker


def _flush(program: LoadedProgram, context: bytearray, cpu: int) -> bool:
    """Empty one CPU's slots, asking again while one is being written; False when it stays so."""
    for _ in range(_FLUSH_TRIES):
        try:
            if program.run(context, cpu) == 0:
                return True
        except BpfError as error:
            if error.errno == errno.ENXIO:  # the CPU went offline: nothing runs there
                return True
            raise
    return False


def _u32(value: int) -> bytes:
    return struct.pack("<I", value)
