"""Rows of Go processes: immutable, for views to draw. Computes next to nothing."""

from __future__ import annotations

from typing import NamedTuple

from memtrace.samples import GoHeapFunctions, GoProcess

SHARE = 0.9
"""Of the limit, at most: the runtime may exceed its own limit for a moment."""


class Beside(NamedTuple):
    """What is below the memory limit in effect beside one Go process.

    `limit_bytes`: that limit. `other_bytes`: memory outside this process' runtime that reclaim
    cannot take, `file_bytes`: files in use, both of all that has to fit below the limit. None:
    unknown, or no limit. `mapped_bytes`: what its own runtime maps, `others_mapped_bytes` what
    those of other Go processes of its cgroup do: they share what is advised.
    """

    limit_bytes: int | None = None
    other_bytes: int | None = None
    file_bytes: int | None = None
    mapped_bytes: int = 0
    others_mapped_bytes: int = 0

    @property
    def advised_bytes(self) -> int | None:
        """A GOMEMLIMIT that leaves room for the rest; None where that cannot be told.

        Of several runtimes in one cgroup each gets its part: all may grow at the same time.
        """
        if self.limit_bytes is None or self.other_bytes is None or self.file_bytes is None:
            return None
        outside = max(0, self.other_bytes - self.others_mapped_bytes)
        left = self.limit_bytes - outside - self.file_bytes
        whole = max(0, min(int(SHARE * self.limit_bytes), left))
        return whole * self.mapped_bytes // max(1, self.mapped_bytes + self.others_mapped_bytes)


class GoRow(NamedTuple):
    """One process, and what is beside it in its cgroup.

    `allocated_delta_bytes` and `gc_cycles_delta` count from the sample before;
    `gc_cpu_fraction` is the CPU time of its garbage collector in that interval as a share of
    what GOMAXPROCS allows. `remarks` are sentences about its settings. None: unknown.
    `heap_functions` None: not asked for.
    """

    process: GoProcess
    cgroup_id: int
    beside: Beside
    allocated_delta_bytes: int | None = None
    gc_cycles_delta: int | None = None
    gc_cpu_fraction: float | None = None
    remarks: tuple[str, ...] = ()
    heap_functions: GoHeapFunctions | None = None


class GoTable(NamedTuple):
    """The processes that are shown, those with the largest heap in use first.

    `other_bytes` is the heap in use of all others; `own` are all of the cgroup alone.
    """

    rows: tuple[GoRow, ...] = ()
    other_bytes: int = 0
    own: tuple[GoRow, ...] = ()


NONE = GoTable()
