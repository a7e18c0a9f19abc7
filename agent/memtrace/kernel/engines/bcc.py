"""The second engine: the same sources, compiled by BCC in a child that ends before they are loaded.

From a source to its bytecode; loading is bytecode.py's job, and everything above is shared with the
default engine. Which kernels it is for is engines/__init__.py's decision.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

from memtrace.kernel.bytecode import BytecodeObject
from memtrace.kernel.engines.bcc_child import WITHOUT_BCC
from memtrace.kernel.errors import EngineError
from memtrace.kernel.support import KernelFacts

SYSTEM_PYTHON = "/usr/bin/python3"
PACKAGE = "the system package python3-bpfcc (Fedora, SUSE: python3-bcc; PyPI's bcc is another)"
CHILD = Path(__file__).with_name("bcc_child.py")
SOURCES = Path(__file__).resolve().parents[2] / "bpf" / "src"
TOGETHER = (("page_cache", "shmem", "lifecycle"), ("oom",))
"""Sources that one child compiles as one text: each more would read the kernel's types again."""
CHILD_SECONDS = 240.0  # it needs about 0.6; minutes with headers in a busy emulated machine
ANSWER_BYTES = 8 << 20
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
        self._numbered: list[str] = []
        self._code: dict[str, bytes] = {}

    def open(self, name: str, rodata: Mapping[str, bytes] | None = None) -> BytecodeObject:
        """The programs of one source; `name` and `rodata` as for LibbpfEngine.open."""
        source = (SOURCES / f"{name.removesuffix(_PAGES)}.bpf.c").read_text()
        names = [f"on_{event}" for event in _PROBES.findall(source)] + _COMMANDS.findall(source)
        if not self._code.keys() >= set(names):
            self._compile(name)
        values = {
            key.removeprefix("cfg_"): int.from_bytes(value, "little")
            for key, value in (rodata or {}).items()
        }
        return BytecodeObject(name, names, self._code, self._numbered, values)

    def _compile(self, name: str) -> None:
        base = name.removesuffix(_PAGES)
        group = next(group for group in TOGETHER if base in group)
        text = all_text(group)
        self._numbered = sorted(set(_NUMBERED.findall(text)))
        flags = [*FLAGS, f"-I{SOURCES}", f"-I{SOURCES / 'include'}"]
        flags += ["-DMEMTRACE_PAGES"] if base != name else []
        flags += ["-DMEMTRACE_HEADERS"] if self._headers else ["-DPAGE_SIZE=4096"]
        flags += [f"-DMEMTRACE_NUMBER_{each}={at}" for at, each in enumerate(self._numbered)]
        flags += [
            f"-DMEMTRACE_HAS_{owner}_{member}={int(bool(self._facts.has_member(owner, member)))}"
            for owner, member in sorted(set(MEMBERS.findall(text)))
        ]
        program = "".join(f'#include "{each}.bpf.c"\n' for each in group)
        types = None if self._headers else text
        self._code = compiled({"text": program, "flags": flags, "types": types}, self._python)


def all_text(group: Iterable[str]) -> str:
    """These sources and all headers."""
    paths = [*sorted(SOURCES.glob("include/*.h")), *(SOURCES / f"{each}.bpf.c" for each in group)]
    return "\n".join(path.read_text() for path in paths)


def compiled(request: Mapping[str, object], python: str = SYSTEM_PYTHON) -> dict[str, bytes]:
    """Bytecode by function. Raises EngineError when the child does not answer with that."""
    try:
        with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as answer:
            asked.write(json.dumps(request).encode())
            asked.seek(0)
            status = _ended([python, "-I", str(CHILD)], asked, answer)
            answer.seek(0)
            text = answer.read().decode(errors="replace").strip()
    except OSError as error:
        raise EngineError(f"BCC's compiler cannot be started: {error}") from error
    if status < 0:
        raise EngineError(f"BCC's compiler was killed by signal {-status}", text)
    if status == WITHOUT_BCC:
        raise EngineError(f"the bcc engine needs {PACKAGE}: {_reason(text)}", text)
    if status:
        raise EngineError(f"BCC cannot compile memtrace's programs: {_reason(text)}", text)
    return decoded(text.rpartition("\n")[2])


def decoded(answer: str) -> dict[str, bytes]:
    """The child's last line. Raises EngineError when it is no bytecode by function."""
    try:
        found = {str(name): bytes.fromhex(code) for name, code in json.loads(answer).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise EngineError("BCC's compiler gave an answer that makes no sense") from error
    if not found or any(len(code) % 8 or not code for code in found.values()):
        raise EngineError("BCC's compiler gave an answer that makes no sense")
    return found


def _ended(command: list[str], asked: IO[bytes], answer: IO[bytes]) -> int:
    """The child's exit code; it has CHILD_SECONDS, and ANSWER_BYTES for what it writes."""
    with subprocess.Popen(
        command, stdin=asked, stdout=answer, stderr=subprocess.STDOUT, env={"PATH": os.defpath}
    ) as child:
        try:
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (ANSWER_BYTES, ANSWER_BYTES))
            return child.wait(CHILD_SECONDS)
        except subprocess.TimeoutExpired:
            sentence = f"BCC's compiler did not end within {CHILD_SECONDS:g} seconds"
            raise EngineError(sentence) from None
        finally:
            child.kill()


def _reason(text: str) -> str:
    """The first error among clang's words, or else the last line."""
    lines = [line for line in text.splitlines() if line.strip()] or ["it said nothing"]
    return next((line for line in lines if "error:" in line), lines[-1])
