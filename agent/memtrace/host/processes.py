"""What a living process needed and moved, all its threads together, from /proc/PID.

A process is its pid and start time, so a pid that was given to another one gives nothing.
How long it stood still is taskstats.py's business.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Protocol

from memtrace.host.procfs import parse_start_ticks, same_start

_SIZE = 8192  # bytes; /proc/PID/status is below 2 KiB, and longer on machines with many CPUs
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class ProcessFacts(NamedTuple):
    """Bytes and seconds, named as in samples.ProcessRow; None where nothing tells."""

    peak_rss_bytes: int | None = None
    disk_read_bytes: int | None = None
    disk_write_bytes: int | None = None
    stall_seconds: float | None = None


class StallSource(Protocol):
    """What taskstats.Stalls does."""

    def seconds(self, tgid: int) -> float | None:
        """How long the process stood still for want of memory; OSError when refused."""


def read_facts(
    root: Path, tgid: int, start: int, stalls: StallSource | None = None
) -> ProcessFacts | None:
    """The facts of the process with this pid and start (wire.h); None when it is gone.

    The peak is VmHWM: of the program it runs now, exec begins it anew. Disk I/O is that of
    /proc/PID/io: dead threads included, and written counts when a page becomes dirty, also
    if it is truncated before it reaches the disk. Each is None where /proc does not tell:
    io needs CAP_SYS_PTRACE for processes of other users, kernel threads have no peak.
    """
    try:
        directory = os.open(f"{root}/proc/{tgid}", _DIRECTORY)
    except OSError:
        return None
    try:
        return _facts(directory, tgid, start, stalls)
    finally:
        os.close(directory)


def _facts(
    directory: int, tgid: int, start: int, stalls: StallSource | None
) -> ProcessFacts | None:
    """Read below a descriptor that stays with its process: a reused pid is ESRCH there."""
    if not _is_it(directory, start):
        return None
    waited = _ask(stalls, tgid)
    io = _read(directory, "io")
    peak = _amount(_read(directory, "status"), b"VmHWM:")
    if stalls is not None and not _is_it(directory, start):
        return None  # it ended meanwhile, and the pid asked about may be another's
    return ProcessFacts(
        None if peak is None else peak * 1024,
        _amount(io, b"read_bytes:"),
        _amount(io, b"write_bytes:"),
        waited,
    )


def _ask(stalls: StallSource | None, tgid: int) -> float | None:
    try:
        return None if stalls is None else stalls.seconds(tgid)
    except OSError:
        return None


def _is_it(directory: int, start: int) -> bool:
    ticks = parse_start_ticks(_read(directory, "stat"))
    return ticks is not None and same_start(ticks, start)


def _amount(text: bytes, key: bytes) -> int | None:
    """The number behind this word, which is at the beginning of a line."""
    _, found, rest = (b"\n" + text).partition(b"\n" + key)
    word = rest[:64].split(None, 1)[:1] if found else []
    return int(word[0]) if word and word[0].isdigit() and len(word[0]) <= 20 else None


def _read(directory: int, name: str) -> bytes:
    """The first bytes of a file; empty when it cannot be read."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return b""
    try:
        return os.read(fd, _SIZE)
    except OSError:
        return b""
    finally:
        os.close(fd)
