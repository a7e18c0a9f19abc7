"""Empties the CPUs' batches of folios on their way to the LRU, so that none is pending.

fadvise(DONTNEED) drains the batch of the CPU it runs on before it looks at the file
(mm/fadvise.c, generic_fadvise), whatever the file: a range behind the end of any file
on a disk drops nothing.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_BEHIND_ANY_END = 1 << 40
_PAGE = 4096


def drain_batches(file: Path) -> None:
    """Drain every CPU this process may run on; what cannot be drained stays pending."""
    with contextlib.suppress(OSError):
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _on_each_cpu(fd)
        finally:
            os.close(fd)


def _on_each_cpu(fd: int) -> None:
    allowed = os.sched_getaffinity(0)
    try:
        for cpu in allowed:
            os.sched_setaffinity(0, {cpu})
            os.posix_fadvise(fd, _BEHIND_ANY_END, _PAGE, os.POSIX_FADV_DONTNEED)
    finally:
        os.sched_setaffinity(0, allowed)
