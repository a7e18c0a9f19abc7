"""Samples made by hand: a few words each, everything else at its default."""

from __future__ import annotations

from collections.abc import Sequence

from memtrace.samples import (
    KINDS,
    REASONS,
    CgroupSample,
    DriverRow,
    FileId,
    FileRow,
    Identity,
    Ledger,
    Memory,
    ProcessRow,
    Sample,
)

MIB = 1 << 20
DISK = 8 << 20 | 1  # 8:1


def flows(names: Sequence[str], **amounts: int) -> tuple[int, ...]:
    """Amounts in the order of KINDS or REASONS."""
    assert set(amounts) <= set(names)
    return tuple(amounts.get(name, 0) for name in names)


def added(**amounts: int) -> tuple[int, ...]:
    """Bytes added by kind."""
    return flows(KINDS, **amounts)


def removed(**amounts: int) -> tuple[int, ...]:
    """Bytes removed by reason."""
    return flows(REASONS, **amounts)


def driver(
    amount: int,
    inode: int | None = 1,
    tgid: int = 10,
    kind: str = "write",
    comm: str | None = "pg",
    recent: int = 0,
) -> DriverRow:
    """One driver row of the file /f<inode>; `recent` of its bytes came since the last sample."""
    file = None if inode is None else FileId(DISK, inode)
    path = None if inode is None else f"/f{inode}"
    return DriverRow(file, path, None, tgid, comm, kind, "pwrite64", amount, recent)


def file(
    amount: int, gone: int = 0, before: int | None = 0, inode: int | None = 1, shmem: bool = False
) -> FileRow:
    """One file row of the file /f<inode>."""
    identity = None if inode is None else FileId(DISK, inode)
    path = None if inode is None else f"/f{inode}"
    return FileRow(identity, path, None, False, shmem, False, before, amount, gone)


def process(amount: int, tgid: int = 10, start: int = 1) -> ProcessRow:
    """One process row."""
    return ProcessRow(tgid, start, "pg", amount)


def cgroup(
    number: int,
    parent: int | None = None,
    path: str | None = None,
    *,
    memory: Memory | None = None,
    ledger: Ledger | None = None,
    identity: Identity | None = None,
    state: str = "running",
) -> CgroupSample:
    """One cgroup with a known, empty baseline."""
    path = path or f"/{number}"
    identity = identity or Identity("cgroup", path)
    ledger = ledger or Ledger(baseline_bytes=0)
    return CgroupSample(number, parent, path, identity, state, memory, ledger)


def sample(*cgroups: CgroupSample, mode: str = "v2", cpus: int = 1) -> Sample:
    """One sample of these cgroups."""
    return Sample(1000.0, 50.0, "node-1", mode, "libbpf", cgroups, cpus=cpus)
