"""The agent's own survival: not the OOM killer's first choice, its memory locked, and small.

What the machine does not allow is a named feature off; the agent runs without it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
from collections.abc import Callable
from pathlib import Path

from memtrace.samples import Feature

OOM_SCORE_ADJ = -999
"""Last but one: -1000 is for what the machine cannot run without (proc(5), oom_score_adj)."""
CRITICAL_SCORE = -997
"""What a kubelet gives to pods that are critical to the node, which then need no capability."""
PRIORITY = -10
"""nice(2) value: before ordinary work, behind what is real-time."""
# <bits/mman.h>. ONFAULT locks what is touched, and leaves what never is where it is.
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
CAP_IPC_LOCK = 14  # <linux/capability.h>
# <malloc.h>. Left alone, glibc gives each thread an arena of its own: of what a scrape takes once,
# each keeps megabytes. Only one of them allocates at a time, Python sees to that.
M_ARENA_MAX = -8
_SLOW = "under memory pressure the agent may be slow"
_PAGE = os.sysconf("SC_PAGE_SIZE")


def protect(self_dir: Path = Path("/proc/self")) -> dict[str, Feature]:
    """Do what can be done; says per feature whether it was and what it costs when not."""
    return {
        "oom_protection": _spare(self_dir),
        "locked_memory": _lock(self_dir),
        "priority": prefer(),
    }


def stay_small() -> None:
    """Have all threads share one heap (mallopt(3), glibc only); before any is started."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(M_ARENA_MAX, 1)


def prefer() -> Feature:
    """Run before others: where memory runs short, so does CPU time, and a kill waits for none."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    except OSError:
        return Feature(False, "post-mortems may come late on a busy machine: it needs CAP_SYS_NICE")
    return Feature(True)


class Budget:
    """Watches this process' resident memory, and tidies up when it is more than allowed."""

    def __init__(
        self, megabytes: float, tidy: Callable[[], None] | None = None, self_dir: Path | None = None
    ) -> None:
        self._bytes = int(megabytes * (1 << 20))
        self._tidy = tidy or _give_back
        self._self = self_dir or Path("/proc/self")
        self._was_over = False

    def check(self) -> int | None:
        """Bytes resident after tidying up, when that is news: still over, for the first time."""
        now = self.resident()
        if now > self._bytes:
            self._tidy()
            now = self.resident()
        over = now > self._bytes
        news = over and not self._was_over
        self._was_over = over
        return now if news else None

    def resident(self) -> int:
        """Resident bytes of this process; 0 when that cannot be read."""
        return resident(self._self)


def resident(self_dir: Path = Path("/proc/self")) -> int:
    """Resident bytes of this process (proc(5), statm); 0 when that cannot be read."""
    try:
        return int((self_dir / "statm").read_text().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def _spare(self_dir: Path) -> Feature:
    try:
        (self_dir / "oom_score_adj").write_text(str(OOM_SCORE_ADJ))
    except OSError as error:
        if _score(self_dir) <= CRITICAL_SCORE:
            return Feature(True)
        return Feature(
            False,
            f"the OOM killer may choose the agent ({error.strerror}): it needs CAP_SYS_RESOURCE",
        )
    return Feature(True)


def _score(self_dir: Path) -> int:
    try:
        return int((self_dir / "oom_score_adj").read_text())
    except (OSError, ValueError):
        return 0


def _lock(self_dir: Path) -> Feature:
    if not (_unlimited() or _has_ipc_lock(self_dir)):
        # with a limit, what is mapped later would fail instead of being unlocked
        return Feature(False, f"{_SLOW}: it needs CAP_IPC_LOCK")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0:
        return Feature(False, f"{_SLOW}: {os.strerror(ctypes.get_errno())}")
    return Feature(True)


def _unlimited() -> bool:
    limits = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, limits)
    return resource.getrlimit(resource.RLIMIT_MEMLOCK) == limits


def _has_ipc_lock(self_dir: Path) -> bool:
    try:
        lines = (self_dir / "status").read_text().splitlines()
        held = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    except (OSError, ValueError, StopIteration):
        return False
    return bool(held >> CAP_IPC_LOCK & 1)


def _give_back() -> None:
    """Collect cycles, and hand free heap back to the kernel (malloc_trim(3), glibc only)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
