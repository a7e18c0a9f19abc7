"""The states a binary can be in, and the one exception that names a state other than `go`."""

from __future__ import annotations

import errno
from enum import StrEnum


class State(StrEnum):
    """What a file turned out to be; every file is in exactly one state."""

    GO = "go"
    VERSION_ONLY = "version only"  # a Go whose runtime is not known here
    NOT_GO = "not go"
    PACKED = "packed"
    TRUNCATED = "truncated"
    IMPLAUSIBLE = "implausible"  # damaged or hostile: it contradicts itself
    TOO_LARGE = "too large"
    VANISHED = "vanished"
    UNREADABLE = "unreadable"
    ARCHITECTURE = "unsupported architecture"


class Refusal(Exception):
    """Why a file, or a part of it, cannot be used: a state and a sentence for users."""

    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


_GONE = {errno.ENOENT, errno.ESRCH, errno.ESTALE, errno.ENODEV, errno.EBADF, errno.ENXIO}


def refusal_of(error: OSError) -> Refusal:
    """The state that the kernel's error means."""
    state = State.VANISHED if error.errno in _GONE else State.UNREADABLE
    return Refusal(state, error.strerror or "cannot be read")
