"""Facts about a kernel out of its headers, for kernels that do not export their types (BTF).

Looks at text and follows no #if: what a configuration leaves out may be there. Compiles nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from memtrace.kernel.support import Answers, Questions

MODULES = Path("/lib/modules")
# Below both: Debian keeps what all configurations share in a tree of its own.
_TREES = ("build", "source")
_TYPES = (
    *("cgroup-defs", "cgroup_subsys", "dcache", "fs", "kernfs", "memcontrol", "mm_types"),
    *("mm_types_task", "mmzone", "oom", "page-flags", "sched", "sched/signal"),
    "task_io_accounting",
)
_EVENTS = ("cgroup", "filemap", "oom", "pagemap", "sched", "signal")
MAX_BYTES = 1 << 20  # of one file; the largest have 200 KiB


class Headers:
    """The headers of one kernel release; `found` says whether there are any."""

    def __init__(self, release: str | None, modules: Path = MODULES) -> None:
        self._trees = [modules / (release or "unknown") / tree for tree in _TREES]

    @property
    def found(self) -> bool:
        """Whether there is something to compile with."""
        return (self._trees[0] / "include").is_dir()

    def answers(self, questions: Questions) -> Answers:
        """What the headers say; offsets and the like are not in them."""
        return Answers(
            tracepoints={name: self.parameters(name) for name in questions.tracepoints},
            arguments=dict.fromkeys(questions.arguments),
            types=dict.fromkeys(questions.types),
            members={pair: self.has_member(*pair) for pair in questions.members},
            enums={pair: self._enumerator(pair[1]) for pair in questions.enums},
            helpers={name: self._has_helper(name) for name in questions.helpers},
            offsets=dict.fromkeys(questions.offsets),
            layout=dict.fromkeys(questions.layout),
        )

    def parameters(self, tracepoint: str) -> int | None:
        """How many arguments programs on this tracepoint get; None: not found."""
        shape = rf"_EVENT\w*\((?:\w+,\s*)?{re.escape(tracepoint)},\s*TP_PROTO\(([^)]*)\)"
        found = re.search(shape, self._events)
        return None if found is None else found[1].count(",") + 1

    def has_member(self, owner: str, member: str) -> bool:
        """Whether a structure's definition names the member."""
        body = re.search(rf"^struct {re.escape(owner)} {{\n(.*?)^}}", self._types, re.M | re.S)
        return body is not None and bool(re.search(rf"\W{re.escape(member)}\b[^;()]*;", body[1]))

    def _enumerator(self, name: str) -> int | None:
        """Its value is the compiler's business: 0 stands for one that is there."""
        name = name.removesuffix("_cgrp_id")
        return 0 if re.search(rf"^\s*(?:SUBSYS\()?{re.escape(name)}\b", self._types, re.M) else None

    def _has_helper(self, name: str) -> bool:
        return bool(re.search(rf"\bFN\({re.escape(name)}\b", self._helpers))

    @cached_property
    def _types(self) -> str:
        return "\n".join(self._read(f"include/linux/{name}.h" for name in _TYPES))

    @cached_property
    def _events(self) -> str:
        return "\n".join(self._read(f"include/trace/events/{name}.h" for name in _EVENTS))

    @cached_property
    def _helpers(self) -> str:
        return "\n".join(self._read(["include/uapi/linux/bpf.h"]))

    def _read(self, names: Iterator[str] | list[str]) -> Iterator[str]:
        """Each file from the first tree that has it; what cannot be read is not there."""
        for name in names:
            for tree in self._trees:
                try:
                    with (tree / name).open(errors="replace") as file:
                        yield file.read(MAX_BYTES)
                    break
                except OSError:
                    continue
