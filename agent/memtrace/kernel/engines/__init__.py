"""Which engine loads the programs: libbpf where the kernel tells its types, else BCC. Decides.

`choose` starts no child: whether BCC compiles is seen when something is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from memtrace.kernel.errors import EngineError
from memtrace.kernel.headers import Headers
from memtrace.kernel.objects import BpfObject, LoadedObject
from memtrace.kernel.plan import QUESTIONS
from memtrace.kernel.support import KernelFacts

SYSTEM_PYTHON = "/usr/bin/python3"
PACKAGE = "the system package python3-bpfcc (Fedora, SUSE: python3-bcc; PyPI's bcc is another)"
OBJECTS = Path(__file__).resolve().parents[2] / "bpf"
AUTO, LIBBPF, BCC = "auto", "libbpf", "bcc"
HEADERS = "the kernel's headers (Debian: linux-headers-$(uname -r))"
BTF = "a kernel built with CONFIG_DEBUG_INFO_BTF=y"
# Which of the two packages of that name it is, without importing 100 MB.
_LOOK = """
import importlib.util, os, sys
found = importlib.util.find_spec("bcc")
origin = found and found.origin or ""
sys.exit(not os.path.exists(os.path.join(os.path.dirname(origin), "libbcc.py")))
"""
_LOOK_SECONDS = 10.0


class Engine(Protocol):
    """What opens objects by the name of their source. Both raise BpfError or EngineError."""

    name: str

    def prepare(self, name: str) -> None:
        """Begin, in the background, what takes long before `open` can give this object."""

    def open(self, name: str, rodata: Mapping[str, bytes] | None = None) -> LoadedObject:
        """The object, not loaded yet; `rodata`: its constants' bytes, by name."""


class LibbpfEngine:
    """The default engine: compiled objects, fitted to the kernel by libbpf."""

    name = LIBBPF

    def prepare(self, name: str) -> None:
        """Nothing takes long."""

    def open(self, name: str, rodata: Mapping[str, bytes] | None = None) -> BpfObject:
        """The object beside the package."""
        return BpfObject.open(OBJECTS / f"{name}.bpf.o", name, rodata)


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine by name, the facts it goes by, and why it is this one."""

    name: str
    facts: KernelFacts
    why: str
    headers: bool = False

    def engine(self) -> Engine:
        """A new engine of this kind."""
        if self.name != BCC:
            return LibbpfEngine()
        from memtrace.kernel.engines.bcc import BccEngine

        return BccEngine(self.facts, self.headers)


def choose(wanted: str, facts: KernelFacts) -> Choice:
    """The engine for this kernel. Raises EngineError, with the ways out, when there is none."""
    without = why_not_libbpf(facts)
    if wanted == LIBBPF or (wanted == AUTO and not without):
        return Choice(LIBBPF, facts, "the kernel tells its types, and there are compiled objects")
    headers = Headers(facts.release)
    lacking = [] if wanted == BCC else [PACKAGE] * (not has_bcc())  # its child would say so, too
    lacking += [] if facts.btf or headers.found else [f"{HEADERS} or {BTF}"]
    if lacking and wanted == BCC:
        raise EngineError(f"the bcc engine needs {lacking[0]}")
    if lacking:
        raise EngineError(
            f"no engine can run here: libbpf needs {without}; bcc needs {' and '.join(lacking)}"
        )
    why = "asked for" if wanted == BCC else f"libbpf would need {without}"
    if not facts.btf:
        answers = headers.answers(QUESTIONS)
        return Choice(BCC, replace(facts, answers=answers, btf_problem=""), why, headers=True)
    return Choice(BCC, facts, why)


def why_not_libbpf(facts: KernelFacts) -> str:
    """What the default engine lacks; empty: nothing."""
    if not facts.btf:
        return f"{BTF} ({facts.btf_problem})"
    if not (OBJECTS / "page_cache.bpf.o").exists():
        return "the compiled BPF objects (run `make build` in the source tree)"
    return ""


def has_bcc(python: str = SYSTEM_PYTHON) -> bool:
    """Whether the system's Python has BCC."""
    import subprocess

    try:
        done = subprocess.run(
            [python, "-I", "-c", _LOOK], capture_output=True, timeout=_LOOK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
