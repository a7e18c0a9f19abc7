"""Compile one shared BPF source with the system's BCC, in a child that then ends.

BCC costs 150 MB: it never shares a process with anything that stays. The child gets
the source and the flags and answers with the size of each program's bytecode. Neither
loads nor attaches.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from tests.kernel.bcc_tree import BtfHeader

SYSTEM_PYTHON = "/usr/bin/python3"

# A source that starts with this is written for libbpf alone (callbacks, subprograms).
LIBBPF_ONLY = "memtrace: libbpf-only"
FIRST_LINES = 20

SOURCES = Path(__file__).parents[2] / "bpf"

CHILD = """
import json, sys, bcc
with open(sys.argv[1], "rb") as source:
    program = bcc.BPF(text=source.read(), cflags=sys.argv[2:])
count = bcc.lib.bpf_num_functions(program.module)
names = [bcc.lib.bpf_function_name(program.module, index) for index in range(count)]
print(json.dumps({name.decode(): len(program.dump_func(name)) for name in names}))
"""


class CompileError(Exception):
    """What BCC's clang said."""


def shared_sources(directory: Path = SOURCES) -> list[Path]:
    """The sources both engines compile."""
    return [path for path in sorted(directory.glob("*.bpf.c")) if is_shared(path)]


def is_shared(source: Path) -> bool:
    """Whether the first lines do not keep the source for libbpf."""
    return LIBBPF_ONLY not in "\n".join(source.read_text().splitlines()[:FIRST_LINES])


def with_headers(source: Path) -> str:
    """The source and every header it could include, as one text to look for names in."""
    headers = sorted((source.parent / "include").glob("*.h"))
    return "\n".join(path.read_text() for path in (source, *headers))


def definitions(text: str, header: BtfHeader) -> list[str]:
    """What the engine defines for the source: map descriptors, constants, enumerators."""
    maps = sorted(set(re.findall(r"\bMT_(?:HASH|LRU|ARRAY|PERCPU|RING)\((\w+)", text)) - {"name"})
    constants = sorted(set(re.findall(r"\bCONFIG_U32\((\w+)\)", text)) - {"name"})
    enumerators = sorted(set(re.findall(r"\bKENUM\(\w+, (\w+)\)", text)) - {"v"})
    pages = "_nr_pages" if header.has_member("folio", "_nr_pages") else "_folio_nr_pages"
    return [
        *(f"-DMAPFD_{name}={descriptor}" for descriptor, name in enumerate(maps, start=3)),
        *(f"-DMEMTRACE_CFG_{name}=0" for name in constants),
        *(f"-DMEMTRACE_ENUM_{name}={header.enumerator(name)}" for name in enumerators),
        f"-DMEMTRACE_FOLIO_PAGES={pages}",
    ]


def compile_with_bcc(source: Path, tree: Path, header: BtfHeader) -> dict[str, int]:
    """Bytes of bytecode per program of the source; CompileError with clang's own words."""
    flags = ["-DMEMTRACE_BCC", "-DPAGE_SIZE=4096", f"-I{(source.parent / 'include').resolve()}"]
    flags += definitions(with_headers(source), header)
    done = subprocess.run(
        [SYSTEM_PYTHON, "-c", CHILD, str(source), *flags],
        env={**os.environ, "BCC_KERNEL_SOURCE": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CompileError(done.stderr)
    sizes: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return sizes
