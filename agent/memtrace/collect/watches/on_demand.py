"""One object that is loaded and attached while somebody asks for it, and whose pages it looks at.

What it tells is read by those who build on this; see bpf/include/watched.h.
"""

from __future__ import annotations

import struct
from typing import Protocol

from memtrace.kernel.errors import BpfError
from memtrace.kernel.objects import LoadedObject
from memtrace.kernel.plan import OnDemand
from memtrace.kernel.session import Session
from memtrace.samples import Feature

MAX_WATCHED = 16000
"""Cgroups that fit into the map `watched`; more than these are watched as all."""

Cgroups = frozenset[int] | None
"""Memory cgroups by id; None: every one."""

EVERY = 0
_ONE = struct.pack("<I", 1)
_CGROUP = struct.Struct("<Q")


class Clearable(Protocol):
    """What adds up what is told."""

    def clear(self) -> None:
        """Forget everything."""


class Watch:
    """`told` is emptied when it is disarmed; `exactness` says how closely it counts."""

    def __init__(
        self, session: Session, name: str, plan: OnDemand, exactness: str, told: Clearable
    ) -> None:
        self.name = name
        self._exactness = exactness
        self._missing = plan.missing
        self._told = told
        self._session = session
        self._programs = plan.programs
        self._settings: dict[str, bytes] = {}  # constants of the program besides the session's
        self._opened: LoadedObject | None = None
        self._aimed: frozenset[int] = frozenset()

    @property
    def armed(self) -> bool:
        """Whether it is attached."""
        return self._opened is not None

    @property
    def feature(self) -> Feature:
        """Whether it is attached, and why not."""
        if self._missing:
            return Feature(False, self._missing)
        if self._opened is None:
            return Feature(False, f"off until asked for: --watch {self.name}", on_demand=True)
        lost = self.unkept_pages()
        return Feature(True, self._exactness + (f"; {lost} pages without a file" if lost else ""))

    def arm(self) -> None:
        """Load and attach; what is counted counts from here. A refusal is in `feature`."""
        if self._opened is not None or self._missing:
            return
        constants = {**self._session.devices, **self._settings}
        try:
            self._opened = self._session.load(self.name, self._programs, constants)
        except BpfError as error:
            self._missing = f"the kernel refused it: {error}"
        self._aimed = frozenset()

    def disarm(self) -> None:
        """Detach, unload, and forget what was counted."""
        if self._opened is not None:
            self._session.unload(self._opened)
            self._opened = None
        self._told.clear()

    def aim(self, cgroups: Cgroups) -> None:
        """Look at pages that these cgroups pay for from now on."""
        if self._opened is None:
            return
        wanted = cgroups if cgroups is not None and len(cgroups) <= MAX_WATCHED else {EVERY}
        watched = self._opened.map("watched")
        for cgroup in self._aimed - wanted:
            watched.delete(_CGROUP.pack(cgroup))
        for cgroup in wanted - self._aimed:
            watched.put(_CGROUP.pack(cgroup), _ONE)
        self._aimed = frozenset(wanted)

    def attached(self) -> tuple[str, ...]:
        """The programs that are attached now."""
        return () if self._opened is None else self._programs

    def unkept_pages(self) -> int:
        """Pages that found no room in the kernel's table since it was armed."""
        if self._opened is None:
            return 0
        return int.from_bytes(self._opened.map("unkept").get(bytes(4)) or b"", "little")

    def _left(self, name: str) -> str:
        """The one of two tables that nobody fills since the session turned its epoch."""
        return f"{name}_{'b' if self._session.drained_epoch else 'a'}"
