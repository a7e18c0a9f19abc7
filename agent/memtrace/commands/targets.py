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
    from memtrace.model.target import close_names, find

    def lives_in(pid: int) -> str | None:
        try:
            return cgroup_of(pid, root)
        except TargetNotFoundError:
            return None

    found = find(snapshot.containers, word, mount, lives_in)
    if found:
        return found
    close = close_names(snapshot.containers, word)
    hint = f"did you mean {' or '.join(close)}?" if close else "'memtrace top' lists what is there."
    raise TargetNotFoundError(f"nothing matches '{word}'; {hint}")
