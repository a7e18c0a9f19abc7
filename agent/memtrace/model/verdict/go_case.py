"""What verdicts on Go programs have in common: which processes count, rates, and their settings.

Source of what the settings do: "A Guide to the Go Garbage Collector" (go.dev/doc/gc-guide).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from memtrace.model.go_shapes import GoRow
from memtrace.model.shapes import Advice, Evidence
from memtrace.model.units import size
from memtrace.model.verdict.advice import paste_environment
from memtrace.model.verdict.case import MIB, Case, bytes_of
from memtrace.samples import GoHeap

LEAST_BYTES = 32 * MIB
SHARE = 0.25
"""Of the usage, that a runtime has to hold: below it something else is the story."""
LEAST_SECONDS = 1.0
LEAST_CYCLES = 3
"""Rates of less time, or of fewer collections, are chance."""
TIGHT = 1.1
"""Times the live heap: with less room a GOMEMLIMIT would make it collect without end."""


class Program(NamedTuple):
    """A Go process whose heap is known."""

    row: GoRow
    heap: GoHeap
    case: Case

    @property
    def name(self) -> str:
        """What it is called."""
        return self.row.process.comm or f"process {self.row.process.pid}"

    @property
    def live_bytes(self) -> int:
        """What the last collection found live; where that is not followed, what its goal tells.

        The goal is live heap x (1 + GOGC / 100), unless GOMEMLIMIT holds it lower.
        """
        heap, followed = self.heap, self.row.process.gc
        if followed is not None and followed.marked_bytes is not None:
            return followed.marked_bytes
        if heap.gogc <= 0 or heap.gomemlimit_bytes is not None:
            return heap.heap_live_bytes
        return min(heap.heap_live_bytes, int(heap.heap_goal_bytes / (1 + heap.gogc / 100)))

    @property
    def advised_bytes(self) -> int | None:
        """The GOMEMLIMIT that leaves room for the rest, in whole MiB; None: unknown, or none."""
        advised = self.row.beside.advised_bytes
        return None if advised is None else advised // MIB * MIB or None

    @property
    def holds_live(self) -> bool:
        """Whether the advised GOMEMLIMIT leaves room for the live heap, and some to collect in."""
        advised = self.advised_bytes
        return advised is not None and advised >= TIGHT * self.live_bytes

    @property
    def cycles_per_second(self) -> float | None:
        """Collections a second; None: unknown, or too short a time or too few to tell."""
        seconds, cycles = self.case.around.seconds, self.row.gc_cycles_delta
        if seconds is None or cycles is None or seconds < LEAST_SECONDS or cycles < LEAST_CYCLES:
            return None
        return cycles / seconds

    @property
    def gc_share(self) -> float | None:
        """Time of collecting as a share of the CPUs it may use: its quota, the machine's.

        As the runtime counts it (runtime/mgcpacer.go, by the clock): a collector that waits for a
        CPU which others have counts, too. It tells what collecting takes from the program, not
        from the machine.
        """
        procs, spent = self.heap.gomaxprocs, self._gc_cpus
        if spent is None or not procs:
            return None
        bounds = (procs, self.row.process.cpu_quota, self.case.around.machine.cpus)
        return min(1.0, spent / min(each for each in bounds if each))

    @property
    def _gc_cpus(self) -> float | None:
        """How many CPUs collecting takes, over all that was seen if that was kept."""
        course, process = self.case.around.course, self.row.process
        spent = course.gc_cpu.get((process.pid, process.start)) if course is not None else None
        if spent is None and self.row.gc_cpu_fraction is not None and self.heap.gomaxprocs:
            return self.row.gc_cpu_fraction * self.heap.gomaxprocs
        return spent

    @property
    def cycle_room(self) -> float | None:
        """What is allocated between two collections, as a share of the live heap: GOGC / 100."""
        cycles, allocated = self.row.gc_cycles_delta, self.row.allocated_delta_bytes
        if not cycles or allocated is None or not self.live_bytes:
            return None
        return allocated / cycles / self.live_bytes


def programs(case: Case) -> Iterator[Program]:
    """Yield the Go processes that hold a good part of the memory, the largest first."""
    usage = case.memory.usage_bytes
    for row in case.go.rows if case.go is not None else ():
        heap = row.process.heap
        if heap is None or not usage:
            continue
        if heap.mapped_bytes >= max(LEAST_BYTES, SHARE * usage):
            yield Program(row, heap, case)


def heap_evidence(program: Program) -> tuple[Evidence, ...]:
    """Return what its heap is and what bounds it."""
    heap, row = program.heap, program.row
    return (
        bytes_of("live heap", program.live_bytes),
        bytes_of("heap in use", heap.heap_in_use_bytes),
        bytes_of("heap goal: collected when it gets there", heap.heap_goal_bytes),
        bytes_of("mapped by the Go runtime", heap.mapped_bytes),
        Evidence("GOGC", "off" if heap.gogc < 0 else heap.gogc, "%" if heap.gogc >= 0 else ""),
        _memory_limit(heap),
        Evidence("GOMAXPROCS", heap.gomaxprocs, ""),
        bytes_of("effective memory limit", row.beside.limit_bytes),
        bytes_of("memory outside of its runtime that cannot be dropped", row.beside.other_bytes),
        bytes_of("files in use (active file cache)", row.beside.file_bytes),
    )


def rate_evidence(program: Program) -> tuple[Evidence, ...]:
    """Return how often it collects and what that takes, as far as it is known."""
    rate, share = program.cycles_per_second, program.gc_share
    return (
        Evidence("collections", None if rate is None else round(rate, 2), "per second"),
        Evidence(
            "time of collecting, waiting for a CPU included",
            None if share is None else round(100 * share, 1),
            "% of its CPUs",
        ),
    )


def _memory_limit(heap: GoHeap) -> Evidence:
    if heap.gomemlimit_bytes is None:
        return Evidence("GOMEMLIMIT", "none", "")
    return bytes_of("GOMEMLIMIT", heap.gomemlimit_bytes)


def set_memory_limit(program: Program) -> tuple[Advice, ...]:
    """Return the advice to set GOMEMLIMIT so that the rest fits beside it, if the heap fits."""
    advised, beside = program.advised_bytes, program.row.beside
    if advised is None or not program.holds_live:
        return ()
    why = (
        f"min(0.9 x limit, limit - {size(beside.other_bytes)} outside of its runtime - "
        f"{size(beside.file_bytes or 0)} of files in use) of {size(beside.limit_bytes)}"
    )
    cost = "CPU time as the live heap comes near it; it holds back garbage, not a leak"
    return (environment(program, "GOMEMLIMIT", program.heap.gomemlimit_bytes, advised, why, cost),)


def environment(
    program: Program, name: str, now: int | str | None, proposed: int | str, why: str, cost: str
) -> Advice:
    """Return the advice to set a variable that Go's runtime reads at its start."""
    amount = name == "GOMEMLIMIT" and isinstance(proposed, int)
    value = f"{int(proposed) // MIB}MiB" if amount else str(proposed)
    identity = program.case.cgroup.identity
    return Advice(name, now, proposed, why, cost, paste_environment(identity, name, value))


def no_memory_limit(case: Case) -> tuple[Advice, ...]:
    """Return that GOMEMLIMIT is not the remedy, where Go programs have none and little heap."""
    rows = [row for row in (case.go.rows if case.go is not None else ()) if row.process.heap]
    heaps = [row.process.heap for row in rows if row.process.heap is not None]
    if not heaps or any(heap.gomemlimit_bytes is not None for heap in heaps):
        return ()
    mapped, usage = sum(heap.mapped_bytes for heap in heaps), case.memory.usage_bytes
    if not usage or mapped >= SHARE * usage:
        return ()
    used = size(sum(heap.heap_in_use_bytes for heap in heaps))
    why = f"the Go heap is {used}; GOMEMLIMIT does not bound page cache or mmapped files"
    cost = "set low, it would make a small heap collect for nothing"
    return (Advice("GOMEMLIMIT", None, "unset", why, cost),)
