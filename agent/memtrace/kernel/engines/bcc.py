"""The second engine: the same sources, compiled by BCC in a child that ends before they are loaded.

From a source to what the child is asked; loading is bytecode.py's job, and everything above is
shared with the default engine. Which kernels it is for is engines/__init__.py's decision.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from memtrace.kernel.bytecode import BytecodeObject
from memtrace.kernel.engines import SYSTEM_PYTHON
from memtrace.kernel.engines.compilation import Compilation
from memtrace.kernel.support import KernelFacts

SOURCES = Path(__file__).resolve().parents[2] / "bpf" / "src"
TOGETHER = (("page_cache", "shmem", "lifecycle"), ("oom",))
"""Sources that one child compiles as one text: each more would read the kernel's types again."""
# BCC optimizes by itself what clang gives it.
FLAGS = ("-DMEMTRACE_BCC", "-g0", "-w", "-Xclang", "-disable-llvm-passes")
_PAGES = "_pages"  # how names end of programs for kernels whose events tell pages
_PROBES = re.compile(r"^PROBE\((\w+)\)$", re.MULTILINE)
_COMMANDS = re.compile(r"^COMMAND\((\w+)\)$", re.MULTILINE)
_NUMBERED = re.compile(r"^(?:MT_(?:HASH|LRU|ARRAY|PERCPU|RING)|CONFIG_U32)\((\w+)", re.MULTILINE)
MEMBERS = re.compile(r"\bMT_HAS\((\w+), (\w+)\)$", re.MULTILINE)


class BccEngine:
    """Opens objects by name; what is compiled together is compiled once. Raises EngineError.

    `headers`: take the kernel's types from its headers instead of its BTF.
    """

    name = "bcc"

    def __init__(self, facts: KernelFacts, headers: bool, python: str = SYSTEM_PYTHON) -> None:
        self._facts = facts
        self._headers = headers
        self._python = python
        self._begun: dict[tuple[str, ...], Compilation] = {}
        self._code: dict[str, bytes] = {}

    def prepare(self, name: str) -> None:
        """Have the child compile it meanwhile."""
        base = name.removesuffix(_PAGES)
        group = _group(base)
        text = all_text(group)
        flags = [*FLAGS, f"-I{SOURCES}", f"-I{SOURCES / 'include'}"]
        flags += ["-DMEMTRACE_PAGES"] if base != name else []
        flags += ["-DMEMTRACE_HEADERS"] if self._headers else ["-DPAGE_SIZE=4096"]
        flags += [f"-DMEMTRACE_NUMBER_{each}={at}" for at, each in enumerate(_numbered(text))]
        flags += [
            f"-DMEMTRACE_HAS_{owner}_{member}={int(bool(self._facts.has_member(owner, member)))}"
            for owner, member in sorted(set(MEMBERS.findall(text)))
        ]
        program = "".join(f'#include "{each}.bpf.c"\n' for each in group)
        request = {"text": program, "flags": flags, "types": None if self._headers else text}
        self._begun[group] = Compilation(request, self._python)

    def open(self, name: str, rodata: Mapping[str, bytes] | None = None) -> BytecodeObject:
        """The programs of one source; `name` and `rodata` as for LibbpfEngine.open."""
        base = name.removesuffix(_PAGES)
        group = _group(base)
        source = (SOURCES / f"{base}.bpf.c").read_text()
        names = [f"on_{event}" for event in _PROBES.findall(source)] + _COMMANDS.findall(source)
        if not self._code.keys() >= set(names):
            if group not in self._begun:
                self.prepare(name)
            self._code = self._begun.pop(group).bytecode()
        values = {
            key.removeprefix("cfg_"): int.from_bytes(value, "little")
            for key, value in (rodata or {}).items()
        }
        return BytecodeObject(name, names, self._code, _numbered(all_text(group)), values)


def _group(base: str) -> tuple[str, ...]:
    return next(group for group in TOGETHER if base in group)


def _numbered(text: str) -> list[str]:
    """The maps that programs name by number, each at its own."""
    return sorted(set(_NUMBERED.findall(text)))


def all_text(group: Iterable[str]) -> str:
    """These sources and all headers."""
    paths = [*sorted(SOURCES.glob("include/*.h")), *(SOURCES / f"{each}.bpf.c" for each in group)]
    return "\n".join(path.read_text() for path in paths)
