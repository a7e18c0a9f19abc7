"""Go processes by cgroup: found, polled at each sample, with the collections probes tell of.

All that opens, reads or probes a program or its memory is done on a thread of its own: both may
lie on a file system that never answers, on purpose even. What a process' settings mean is the
model's business.
"""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from memtrace.collect.aside import Aside
from memtrace.collect.go_collected import Collected
from memtrace.collect.go_collections import GoCollections, Probed, probed_as
from memtrace.collect.go_cycles import GoCycle
from memtrace.collect.go_finder import GoFinder
from memtrace.collect.go_memory import EndedError, GoMemory, heap_of, open_memory
from memtrace.golang.binary import GoBinary
from memtrace.golang.gcstate import decode
from memtrace.golang.refusal import State
from memtrace.host.cpu_quota import CpuQuotas
from memtrace.host.hierarchy import Hierarchy
from memtrace.host.procfs import cgroup_lines, placed, read_comm, same_start, start_ticks
from memtrace.kernel import wire
from memtrace.kernel.errors import BpfError
from memtrace.samples import Feature, GoCycles, GoHeap, GoProcess

LEAST_PAUSE, MOST_PAUSE = 1.0, 61.0
"""After so many seconds a process' cgroup and its CPU quota are read again: first soon, then more
seldom, as it is put into its cgroup when it begins. A prime, as ids of cgroups have steps."""
PATIENCE_SECONDS, MOST_SECONDS, STUCK_SECONDS = 0.05, 10.0, 30.0
"""How long a sample waits for a look, how long a thorough one may take, and when it is said."""
STILL, REST = 16, 8
"""A process in which nothing moved for so many looks is read at one look of so many, until it
moves or collects: most Go programs of a node do nothing for most of the time."""
MAX_PROCESSES = 16_384
_NANO = 1e-9
_HIDDEN = "its memory cannot be read ({}): it needs CAP_SYS_PTRACE"
_STUCK = "figures of Go processes stand still: a program's file system does not answer"
_EARLY = "its runtime has not begun yet, or keeps its figures in an unknown way"


@dataclass(slots=True)
class _Followed:
    """One process; `memory` is None where its heap cannot be read, `reason` says why.

    `still`: looks since anything moved. `rests`: until that look.
    """

    pid: int
    start: int
    program: GoBinary
    comm: str | None
    memory: GoMemory | None
    reason: str
    debug: str | None
    lines: bytes | None = None
    cgroup: int | None = None
    path: str | None = None
    quota: float | None = None
    due: float = float("-inf")
    pause: float = LEAST_PAUSE
    gc: GoCycles | None = None
    figures: tuple[GoHeap | None, GoCycles | None, float | None] = None, None, None
    made: GoProcess | None = None
    still: int = 0
    rests: int = 0


class _Seen(NamedTuple):
    """What one look saw: when, rows by cgroup, and where processes have their gcController."""

    at: float
    of: dict[int, tuple[GoProcess, ...]]
    controllers: dict[int, tuple[int, int]]


class GoProcesses:
    """Call `look` for each sample, then `of` for each cgroup.

    `base`: where this process' cgroup namespace begins in the hierarchy (procfs). `finding`:
    whether other users' processes can be looked into.
    """

    def __init__(
        self,
        root: Path,
        hierarchy: Hierarchy,
        base: str,
        finding: Feature,
        collections: GoCollections,
    ) -> None:
        self._root = root
        self._hierarchy = hierarchy
        self._base = base
        self._quotas = CpuQuotas(root, base)
        self._quotas_now: dict[bytes, float | None] = {}  # while one look lasts
        self._finding = finding
        self._collections = collections
        self._aside: Aside[_Seen] = Aside()
        self._cycles: list[GoCycle] = []
        self.collected = Collected()
        self._finder = GoFinder(root)
        self._followed: dict[int, _Followed] = {}
        self._changed = True  # who is followed
        self._places: dict[int, tuple[int, int]] = {}
        self._minors: dict[int, int] = {}  # of Go's version by pid, of ended ones, too
        self._looks = 0
        self._looked_at = self._interval = 0.0
        self._seen = _Seen(float("-inf"), {}, {})
        self._of: dict[int, tuple[GoProcess, ...]] = {}

    def gather(self) -> None:
        """Take over what the probes told, before their buffer is full. Raises BpfError."""
        cycles = self._collections.drain()
        self.collected.count(cycles)
        self._cycles += cycles

    def look(self, now: float, thorough: bool = False) -> bool:
        """Find new processes, read all heaps, count collections. Raises BpfError.

        What takes longer than `PATIENCE_SECONDS` is there at a later look, and what was seen
        before is told with its age until then. `thorough`: look into every new program now,
        within `MOST_SECONDS`. Returns whether it is as of now.
        """
        self.gather()
        patience = MOST_SECONDS if thorough else PATIENCE_SECONDS
        self._seen = self._aside.take(patience) or self._seen  # of a look before
        if not self._aside.busy:
            cycles, self._cycles = self._cycles, []
            self._aside.start(lambda: self._look(now, thorough, cycles))
            self._seen = self._aside.take(patience) or self._seen
        age = now - self._seen.at
        self._of = _aged(self._seen.of, round(age, 1)) if age > 0 else self._seen.of
        return age <= 0

    def _look(self, now: float, thorough: bool, cycles: list[GoCycle]) -> _Seen:
        """All that may take as long as somebody's file system does."""
        self._interval, self._looked_at = now - (self._looked_at or now), now
        for pid, program in self._finder.look(now, thorough):
            if len(self._followed) < MAX_PROCESSES:
                self._begin(pid, program, now)
        for gone in self._followed.keys() - self._finder.found:
            self._end(self._followed[gone])
        self._collections.follow(self._running(), now)
        for cycle in cycles:
            self._count(cycle)
        of: defaultdict[int, list[GoProcess]] = defaultdict(list)
        self._looks += 1
        for one in list(self._followed.values()):
            made = one.made if self._looks < one.rests else self._read(one, now)
            if made is None:
                self._end(one)
            elif one.cgroup is not None:
                of[one.cgroup].append(made)
        self._quotas_now.clear()
        return _Seen(
            now,
            {key: self._same(key, tuple(found)) for key, found in of.items()},
            self._controllers(),
        )

    def _controllers(self) -> dict[int, tuple[int, int]]:
        """The very same as long as the same are followed."""
        if self._changed:
            self._changed = False
            memories = ((one, one.memory) for one in self._followed.values())
            self._places = {one.pid: (m.controller, one.start) for one, m in memories if m}
        return self._places

    def of(self, cgroup: int) -> tuple[GoProcess, ...]:
        """The processes of a cgroup alone; the same object when nothing moved."""
        return self._of.get(cgroup, ())

    def memory_of(self, process: GoProcess) -> GoMemory | None:
        """The open memory of a process that was told; None: it has none, or ended."""
        one = self._followed.get(process.pid)
        return None if one is None or one.start != process.start else one.memory

    def controllers(self) -> dict[int, tuple[int, int]]:
        """Where each process has its gcController, and its start in ticks, by pid."""
        return self._seen.controllers

    def heap_of(self, pid: int, block: bytes) -> GoHeap | None:
        """What a gcController's bytes say, of a process that may have ended by now.

        None: they make no sense, or no such process was followed.
        """
        minor = self._minors.get(pid)
        state = None if minor is None else decode(block, minor)
        return None if state is None else heap_of(state)

    def features(self) -> dict[str, Feature]:
        """Whether Go processes are found, and their collections counted; or why not."""
        stuck = self._aside.busy_for() > STUCK_SECONDS
        found = Feature(False, _STUCK) if stuck else self._finding
        return {"go_processes": found, "go_gc": self._collections.feature}

    def lost(self) -> int:
        """Collections so far that were not told."""
        return self._collections.lost()

    def close(self) -> None:
        """Give all descriptors back, and take the probes out.

        A look that still hangs has them in its hands: the process' end gives them back.
        """
        with suppress(BpfError):
            self._aside.take(PATIENCE_SECONDS)
        if self._aside.busy:
            return
        self._collections.close()
        for one in self._followed.values():
            if one.memory is not None:
                one.memory.close()
        self._followed.clear()

    def _running(self) -> dict[Probed, tuple[int, GoBinary]]:
        """Of each program the process that was found last."""
        of_each = {id(one.program): one for one in self._followed.values()}  # few are many's
        each = ((probed_as(one.program), one) for one in of_each.values())
        return {key: (one.pid, one.program) for key, one in each if key is not None}

    def _same(self, cgroup: int, found: tuple[GoProcess, ...]) -> tuple[GoProcess, ...]:
        before = self._seen.of.get(cgroup)
        return before if before is not None and before == found else found

    def _begin(self, pid: int, program: GoBinary, now: float) -> None:
        start = start_ticks(self._root, pid)
        try:
            memory, reason = self._open(pid, program)
        except EndedError:
            memory, reason, start = None, "", None
        if start is None:
            self._finder.postpone(pid, now)
            return
        comm = read_comm(self._root, pid)
        self._remember_version(pid, program)
        debug = None if program.build is None else _debug(program.build.debug)
        self._changed = True
        self._followed[pid] = _Followed(pid, start, program, comm, memory, reason, debug)

    def _remember_version(self, pid: int, program: GoBinary) -> None:
        if program.build is None or program.build.minor is None:
            return
        self._minors.pop(pid, None)
        if len(self._minors) >= MAX_PROCESSES:
            del self._minors[next(iter(self._minors))]
        self._minors[pid] = program.build.minor

    def _open(self, pid: int, program: GoBinary) -> tuple[GoMemory | None, str]:
        """Open its memory, or say why not; EndedError: it is not there, or not there yet."""
        if program.state != State.GO or program.places is None:
            return None, program.reason or program.missing.get("gc_controller", "")
        try:
            return open_memory(self._root, pid, program), ""
        except OSError as error:
            return None, _HIDDEN.format(error.strerror)

    def _end(self, one: _Followed) -> None:
        if one.memory is not None:
            one.memory.close()
        self._followed.pop(one.pid, None)
        self._changed = True
        self._finder.forget(one.pid)

    def _count(self, cycle: GoCycle) -> None:
        tgid, start = wire.PROCESS.unpack(cycle.process)
        one = self._followed.get(tgid)
        if one is not None and same_start(one.start, start):
            one.gc = added(one.gc or GoCycles(), cycle)
            one.rests = one.still = 0

    def _read(self, one: _Followed, now: float) -> GoProcess | None:
        """One process as of now; None: it is gone."""
        if now >= one.due and not self._place(one, now):
            return None
        if one.gc is None and self._collections.probes(one.program):
            one.gc = GoCycles()
        heap: GoHeap | None = None
        if one.memory is not None:
            try:
                heap = one.memory.read()
            except EndedError:
                return None
        figures = heap, one.gc, one.quota
        if one.made is None or figures != one.figures:
            one.figures, one.made = figures, _described(one, heap)
            one.still = -(one.pid % REST)  # so that those that rest are not read all at once
        elif one.still >= STILL:
            one.rests = self._looks + REST
            if not one.made.age_seconds:  # from now on it may be that old, and nobody would know
                oldest = round((REST - 1) * self._interval, 1)
                one.made = replace(one.made, age_seconds=oldest)
        one.still += 1
        return one.made

    def _place(self, one: _Followed, now: float) -> bool:
        """Read again where it lives; whether it is there at all, with its program.

        A child of vfork runs in its parent's memory until its exec, and a descriptor of it
        that was opened meanwhile stays the parent's.
        """
        if not _runs(self._root, one):
            return False
        if one.memory is None and start_ticks(self._root, one.pid) != one.start:
            return False  # memory says by itself that its process ended
        lines = cgroup_lines(self._root, one.pid)
        if lines is not None and (lines != one.lines or one.cgroup is None):
            one.lines, one.path = lines, placed(self._hierarchy, self._base, lines)
            one.cgroup = None if one.path is None else _id_of(self._hierarchy, one.path)
        one.quota = None if one.lines is None else self._quota_of(one.lines)
        # Those of a cgroup are due together: its quota is read once.
        one.due = now + min(one.pause, MOST_PAUSE - (now + (one.cgroup or 0)) % MOST_PAUSE)
        one.pause *= 2
        return True

    def _quota_of(self, lines: bytes) -> float | None:
        """By all of /proc/PID/cgroup, as the cpu controller may have another path than memory."""
        if lines not in self._quotas_now:
            self._quotas_now[lines] = self._quotas.of(lines)
        return self._quotas_now[lines]


def added(before: GoCycles, cycle: GoCycle) -> GoCycles:
    """The sums with one more collection."""
    pauses = (cycle.first_pause_ns, cycle.last_pause_ns)
    return GoCycles(
        before.cycles + 1,
        before.forced + (cycle.trigger == "forced"),
        before.periodic + (cycle.trigger == "periodic"),
        before.pause_seconds + sum(pauses) * _NANO,
        max(before.longest_pause_seconds, max(pauses) * _NANO),
        _more(before.cpu_seconds, cycle.cpu_ns),
        _more(before.assist_seconds, cycle.assist_ns),
        cycle.marked_bytes if cycle.marked_bytes is not None else before.marked_bytes,
    )


def _more(seconds: float | None, nanoseconds: int | None) -> float | None:
    """Return the sum; what was unknown once stays unknown."""
    if seconds is None or nanoseconds is None:
        return None
    return seconds + nanoseconds * _NANO


def _described(one: _Followed, heap: GoHeap | None) -> GoProcess:
    build = one.program.build
    reason = one.reason or ("" if heap is not None else _EARLY)
    return GoProcess(
        one.pid,
        one.start,
        one.comm,
        str(one.program.state),
        reason,
        None if build is None else build.version,
        None if build is None else build.main,
        one.program.stripped,
        one.debug,
        one.quota,
        heap,
        0.0,
        one.gc,
    )


def _debug(settings: dict[str, str]) -> str:
    """Return settings as GODEBUG has them."""
    return ",".join(f"{name}={setting}" for name, setting in settings.items())


def _aged(of: dict[int, tuple[GoProcess, ...]], age: float) -> dict[int, tuple[GoProcess, ...]]:
    """Return what was seen so many seconds ago."""
    return {
        cgroup: tuple([replace(row, age_seconds=row.age_seconds + age) for row in rows])
        for cgroup, rows in of.items()
    }


def _runs(root: Path, one: _Followed) -> bool:
    """Return whether a process runs the program still in which it was found."""
    identity = one.program.identity
    try:
        status = os.stat(f"{root}/proc/{one.pid}/exe")
    except OSError:
        return False
    told = status.st_ino, status.st_size, status.st_mtime_ns
    return identity is not None and told == identity[:3]


def _id_of(hierarchy: Hierarchy, path: str) -> int | None:
    try:
        return os.stat(f"{hierarchy.mount}{path}").st_ino
    except OSError:
        return None
