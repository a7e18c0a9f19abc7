"""What every thing to watch can do: be attached, be told whose, be read, be detached again."""

from __future__ import annotations

from typing import Protocol

Cgroups = frozenset[int] | None
"""Memory cgroups by id, with all below them; None: every one."""


class Watch(Protocol):
    """One thing to watch. Methods raise BpfError when the kernel refuses."""

    name: str
    exactness: str
    """What an armed one can tell, for its feature's reason."""

    @property
    def missing(self) -> str:
        """Why this kernel cannot do it; empty when it can."""

    def arm(self) -> None:
        """Load and attach; what is counted counts from here."""

    def disarm(self) -> None:
        """Detach, unload, and forget what was counted."""

    def aim(self, cgroups: Cgroups) -> None:
        """Look at these cgroups from now on."""

    def gather(self) -> None:
        """Take what the kernel counted; the session has just turned its epoch."""

    def attached(self) -> tuple[str, ...]:
        """The programs that are attached now."""
