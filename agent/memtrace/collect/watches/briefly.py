"""A stack in a few words: the functions that tell what a program was doing. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

SHOWN = 3
"""Functions that are named."""
BETWEEN = " <- "
# The way into the kernel, which every program takes: Go's runtime and library, then C's, and what
# both have of assembly: indexbytebody.
_PLUMBING = re.compile(
    r"(runtime|runtime/.*|syscall|internal/.*|os|io|io/.*|bufio|net|golang\.org/x/sys/.*)\."
)
_C_PLUMBING = re.compile(
    r"_.*|\w+body|(p?(read|write)(64|v|v2)?|f(read|write|flush|puts|close)|open(at)?(64)?|sendfile(64)?"
    r"|copy_file_range|splice|fallocate(64)?|posix_f.*|mmap(64)?|mem(cpy|set|move).*|syscall)"
)
_OUTERMOST = (
    *("runtime.main", "runtime.goexit", "runtime.doInit", "runtime.doInit1"),
    *("main", "_start", "start_thread", "clone3"),
)
_TYPE_ARGUMENTS = "[...]"


def briefly(frames: Sequence[str]) -> str | None:
    """Return the innermost functions that are a program's own, None without any name.

    `frames`: the innermost first, "" where a name is not known. Where all are the library's, those.
    """
    named = [name for name in frames if name and name not in _OUTERMOST]
    own = _beyond_plumbing(named)
    chosen = own or named
    return BETWEEN.join(short(name) for name in chosen[:SHOWN]) or None


def short(name: str) -> str:
    """Return a function without the path of its package: archive.copyBuffered."""
    before, bracket, _ = name.partition("[")
    return before.rpartition("/")[2].replace("%2e", ".") + (_TYPE_ARGUMENTS if bracket else "")


def _beyond_plumbing(names: Sequence[str]) -> list[str]:
    for place, name in enumerate(names):
        if not (_PLUMBING.match(name) or _C_PLUMBING.fullmatch(name)):
            return list(names[place:])
    return []
