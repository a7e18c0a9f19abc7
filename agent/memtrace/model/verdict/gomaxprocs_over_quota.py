"""gomaxprocs_over_quota: GOMAXPROCS is far above the CPU quota, and memory is kept for each P."""

from __future__ import annotations

from collections.abc import Iterator

from memtrace.model.go_remarks import expected_procs, ignores_quota
from memtrace.model.shapes import Advice, Evidence, Verdict
from memtrace.model.units import size
from memtrace.model.verdict.case import Case, bytes_of
from memtrace.model.verdict.go_case import Program, environment, heap_evidence, programs

FAR = 4


def gomaxprocs_over_quota(case: Case) -> Verdict | None:
    """Applies above the larger of 2 and the quota rounded up, a warning from four times that on.

    That is what Go 1.25 and later set themselves (go.dev/doc/go1.25, "Runtime"). Buffers,
    encoders and the allocator's caches are kept once for each P (klauspost/compress makes one
    zstd encoder of 16 MB each: kubevela #6462). Below four times it costs some memory; from
    there on most of what is kept for each P is of no use. That it is that memory is inferred.
    """
    for program in programs(case):
        procs, quota = program.heap.gomaxprocs, program.row.process.cpu_quota
        if procs is not None and quota is not None and procs > expected_procs(quota):
            return _verdict(program, procs, quota)
    return None


def _verdict(program: Program, procs: int, quota: float) -> Verdict:
    heap, expected = program.heap, expected_procs(quota)
    times = procs / expected
    return Verdict(
        "gomaxprocs_over_quota",
        f"GOMAXPROCS {procs} under a quota of {quota:g} CPUs: what {program.name} keeps for "
        f"each P is there {procs} times instead of {expected} ({times:.3g}x too much). Its "
        f"Go heap of {size(heap.heap_in_use_bytes)} is {size(heap.heap_in_use_bytes // procs)} "
        "for each P.",
        "warning" if times >= FAR else "info",
        0.8,
        heap.mapped_bytes,
        (
            Evidence("CPU quota", quota, "CPUs"),
            bytes_of("heap in use for each P", heap.heap_in_use_bytes // procs),
            Evidence("built with", program.row.process.version, ""),
            *heap_evidence(program),
        ),
        tuple(_advice(program, procs, expected)),
    )


def _advice(program: Program, procs: int, expected: int) -> Iterator[Advice]:
    why = "as many as the quota gives CPUs; by import go.uber.org/automaxprocs, or Go >= 1.25"
    cost = "none: under its quota it never runs on more, and is throttled less"
    yield environment(program, "GOMAXPROCS", procs, expected, why, cost)
    reason = ignores_quota(program.row.process)
    if reason and "containermaxprocs=0" in reason:
        why = f"{reason}; with this, GOMAXPROCS follows the quota"
        yield environment(program, "GODEBUG", "containermaxprocs=0", "containermaxprocs=1", why, "")
