"""What a TARGET on the command line means: containers, or one sentence of what was not found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from memtrace.commands.common import TargetNotFoundError, cgroup_of

if TYPE_CHECKING:
    from memtrace.model.shapes import Container, Snapshot


def targets(snapshot: Snapshot, word: str, mount: str, root: Path) -> tuple[Container, ...]:
    """Return the containers that `word` means; TargetNotFoundError says which are close.

    `mount` is the absolute path of the memory hierarchy's root directory.
    """
    from memtrace.model.target import find

    def lives_in(pid: int) -> str | None:
        try:
            return cgroup_of(pid, root)
        except TargetNotFoundError:
            return None

    return _found(snapshot, word, find(snapshot.containers, word, mount, lives_in))


def recorded_targets(snapshot: Snapshot, word: str) -> tuple[Container, ...]:
    """Return the same in a recording: where its memory hierarchy was follows from its mode.

    A process is found by what it filled: nothing else is known of where it lived.
    """
    from memtrace.model.target import find

    mount = "/sys/fs/cgroup" if snapshot.cgroup_mode == "v2" else "/sys/fs/cgroup/memory"
    found = find(snapshot.containers, word, mount, lambda pid: recorded_home(snapshot, pid))
    return _found(snapshot, word, found)


def recorded_home(snapshot: Snapshot, pid: int) -> str | None:
    """Return the cgroup of a Go process, or that in which a process added most; None: neither."""
    best: tuple[int, str] | None = None
    for each in snapshot.containers:
        if any(process.pid == pid for process in each.source.go or ()):
            return each.source.path
        added = [p.added_bytes for p in each.source.ledger.processes if p.tgid == pid]
        if added and (best is None or sum(added) > best[0]):
            best = sum(added), each.source.path
    return None if best is None else best[1]


def _found(snapshot: Snapshot, word: str, found: tuple[Container, ...]) -> tuple[Container, ...]:
    from memtrace.model.target import close_names

    if found:
        return found
    close = close_names(snapshot.containers, word)
    hint = f"did you mean {' or '.join(close)}?" if close else "'memtrace top' lists what is there."
    raise TargetNotFoundError(f"nothing matches '{word}'; {hint}")
