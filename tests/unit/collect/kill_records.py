"""Kill records as the OOM programs send them, made by hand."""

from __future__ import annotations

from memtrace.kernel import wire

PAGE = 4096
NO_LIMIT = (1 << 63) // PAGE - 1


def task(pid: int, cgroup: int = 7, comm: bytes = b"hog", start: int = 1, **amounts: int) -> bytes:
    """One mt_oom_task; amounts not given are unknown."""
    names = ("file", "anon", "swap", "shmem", "peak", "total_vm")
    more = ("page_table_bytes", "maxrss", "read_bytes", "write_bytes")
    values = [amounts.get(name, wire.UNTOLD) for name in (*names, *more)]
    return wire.OOM_TASK.pack(pid, pid, start, 0, 0, cgroup, *values, comm)


def go(state: int = wire.OOM_GO_UNTOLD, block: bytes = b"") -> bytes:
    """What there is of its gcController."""
    return wire.OOM_GO.pack(state, block)


def member(pid: int, group: int, at: int, killer: int = 9, how: int = wire.OOM_KERNEL) -> bytes:
    """A further victim of a group."""
    kill = wire.OOM_KILL.pack(how, 1, group, killer, at)
    return kill + task(pid, anon=3, file=1, shmem=0) + go()


def first(
    pid: int,
    at: int,
    killer: int = 9,
    cgroup: int = 7,
    path: bytes = b"in\0top\0\0",
    controller: bytes = go(),
    **how: int,
) -> bytes:
    """The first victim of a group: in the cgroup 7 below 5 below the root 1."""
    chain = ((7, 10, NO_LIMIT), (5, 100, 100), (1, 1000, NO_LIMIT))
    levels = [
        wire.OOM_LEVEL.pack(number, use, limit, use, NO_LIMIT, 2) for number, use, limit in chain
    ]
    levels += [bytes(wire.OOM_LEVEL.size)] * (wire.OOM_LEVELS - len(chain))
    state = [0] * wire.OOM_STATES
    cause = wire.OOM_CAUSE.pack(cgroup, 100, 0xCC0, 0, len(chain), len(path), *state)
    return (
        wire.OOM_KILL.pack(how.get("how", wire.OOM_KERNEL), 0, at, killer, at)
        + task(pid, anon=3, file=1, shmem=0, peak=2)
        + controller
        + task(killer, cgroup=5, comm=b"trigger")
        + cause
        + b"".join(levels)
        + path
    )
