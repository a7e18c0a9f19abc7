"""The second engine: the same sources, compiled by BCC in a child that ends before they are loaded.

From a source to its bytecode; loading is bytecode.py's job, and everything above is shared with the
default engine. Which kernels it is for is engines/__init__.py's decision.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from memtrace.kernel.bytecode import Bytecode, BytecodeObject
from memtrace.kernel.engines.bcc_child import WITHOUT_BCC
from memtrace.kernel.errors import EngineError
from memtrace.kernel.support import KernelFacts

SYSTEM_PYTHON = "/usr/bin/python3"
PACKAGE = "the system package python3-bpfcc (Fedora, SUSE: python3-bcc; PyPI's bcc is another)"
CHILD = Path(__file__).with_name("bcc_child.py")
SOURCES = Path(__file__).resolve().parents[2] / "bpf" / "src"
TOGETHER = (("page_cache", "shmem", "lifecycle"), ("oom",))
"""Sources that one child compiles as one text: most of the time goes into what comes before it."""
CHILD_SECONDS = 180.0  # it needs about 0.6, and 60 in an emulated machine that shares its CPUs
ANSWER_BYTES = 8 << 20
_PAGES = "_pages"  # how names end of programs for kernels whose events tell pages
_INCLUDE = re.compile(r'^#include "(.+)"$', re.MULTILINE)
_PROBES = re.compile(r"^PROBE\((\w+)\)$", re.MULTILINE)
_COMMANDS = re.compile(r"^COMMAND\((\w+)\)$", re.MULTILINE)
_LICENCE = re.compile(r'^LICENSE\("(.+)"\);$', re.MULTILINE)
_MAPS = re.compile(r"^MT_(?:HASH|LRU|ARRAY|PERCPU|RING)\((\w+),", re.MULTILINE)
_CONSTANTS = re.compile(r"^CONFIG_U32\((\w+)\);", re.MULTILINE)
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
        code = Bytecode(
            {each: self._code[each] for each in names},
            self._numbered,
            {
                each: self._code[program]
                for each in self._numbered
                if (program := f"mt_map_{each}") in self._code
            },
            "".join(_LICENCE.findall(source)),
        )
        values = {
            key.removeprefix("cfg_"): int.from_bytes(value, "little")
            for key, value in (rodata or {}).items()
        }
        return BytecodeObject(name, code, values)

    def _compile(self, name: str) -> None:
        base = name.removesuffix(_PAGES)
        group = next(group for group in TOGETHER if base in group)
        text = flattened([SOURCES / f"{each}.bpf.c" for each in group])
        self._numbered = sorted({*_MAPS.findall(text), *_CONSTANTS.findall(text)})
        flags = ["-DMEMTRACE_BCC", "-g0", "-w"]
        flags += ["-DMEMTRACE_PAGES"] if base != name else []
        flags += ["-DMEMTRACE_HEADERS"] if self._headers else ["-DPAGE_SIZE=4096"]
        flags += [f"-DMEMTRACE_NUMBER_{each}={at}" for at, each in enumerate(self._numbered)]
        flags += [
            f"-DMEMTRACE_HAS_{owner}_{member}={int(bool(self._facts.has_member(owner, member)))}"
            for owner, member in sorted(set(MEMBERS.findall(text)))
        ]
        request = {"text": text, "flags": flags, "btf": not self._headers}
        self._code = compiled(request, self._python)


def flattened(paths: Iterable[Path], seen: set[Path] | None = None) -> str:
    """These sources and all they include, each once, as the one text that BCC takes."""
    seen = set() if seen is None else seen

    def included(found: re.Match[str]) -> str:
        return flattened([SOURCES / "include" / found[1]], seen)

    parts = []
    for path in paths:
        if path not in seen:
            seen.add(path)
            parts.append(_INCLUDE.sub(included, path.read_text()))
    return "\n".join(parts)


def compiled(request: Mapping[str, object], python: str = SYSTEM_PYTHON) -> dict[str, bytes]:
    """Bytecode by program. Raises EngineError when the child does not answer with that."""
    with tempfile.TemporaryFile() as asked:
        asked.write(json.dumps(request).encode())
        asked.seek(0)
        try:
            child = subprocess.Popen(
                [python, "-I", CHILD],
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={"PATH": os.defpath},
            )
        except OSError as error:
            raise EngineError(f"BCC's compiler cannot be started: {error}") from error
    with child:
        try:
            said = _said(child)
        except BaseException:
            child.kill()
            raise
    text = said.decode(errors="replace").strip()
    if child.returncode < 0:
        raise EngineError(f"BCC's compiler was killed by signal {-child.returncode}", text)
    if child.returncode == WITHOUT_BCC:
        raise EngineError(f"the bcc engine needs {PACKAGE}: {_reason(text)}", text)
    if child.returncode:
        raise EngineError(f"BCC cannot compile memtrace's programs: {_reason(text)}", text)
    return decoded(text.rpartition("\n")[2])


def decoded(answer: str) -> dict[str, bytes]:
    """The child's last line. Raises EngineError when it is no bytecode by program."""
    try:
        found = {str(name): bytes.fromhex(code) for name, code in json.loads(answer).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise EngineError("BCC's compiler gave an answer that makes no sense") from error
    if not found or any(len(code) % 8 or not code for code in found.values()):
        raise EngineError("BCC's compiler gave an answer that makes no sense")
    return found


def _said(child: subprocess.Popen[bytes]) -> bytes:
    """All it prints until it ends, within bounds of time and size."""
    assert child.stdout is not None
    end, said = time.monotonic() + CHILD_SECONDS, b""
    while select.select([child.stdout], [], [], max(end - time.monotonic(), 0))[0]:
        part = os.read(child.stdout.fileno(), 1 << 16)
        said += part
        if len(said) > ANSWER_BYTES:
            raise EngineError("BCC's compiler said more than memtrace takes")
        if not part:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(end - time.monotonic(), 0))
                return said
            break
    raise EngineError(f"BCC's compiler did not end within {CHILD_SECONDS:g} seconds")


def _reason(text: str) -> str:
    """The first error among clang's words, or else the last line."""
    lines = [line for line in text.splitlines() if line.strip()] or ["it said nothing"]
    return next((line for line in lines if "error:" in line), lines[-1])
