"""Go programs for tests, built by the newest toolchain, and where Go's functions are in them.

Places are read from the symbol table that Go leaves in a binary: another way than memtrace's own,
which must do without one.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from memtrace.kernel.go_probe import TimeOffsets
from tests.golang.toolchains import CACHE, RELEASES, GoUnavailable, toolchain
from tests.outcomes import unavailable

PROGRAMS = Path(__file__).resolve().parents[2] / "workloads" / "go"
TIMES = TimeOffsets(assist=192, dedicated=200, fractional=208, idle=216)
"""Of Go 1.21 to 1.27 (golang/'s table has it for all)."""
FUNCTIONS = {
    "stop": "stopTheWorldWithSema",
    "cycle_start": "(*gcControllerState).startCycle",
    "cycle_end": "(*gcControllerState).endCycle",
    "reset_live": "(*gcControllerState).resetLive",
    "finish": "(*gcCPULimiterState).finishGCTransition",
}
CONTROLLER = "runtime.gcController"
_PUSH = bytes.fromhex("554889e5")  # push %rbp; mov %rsp,%rbp
_JBE, _FAR_JBE = b"\x76", b"\x0f\x86"


class Binary(NamedTuple):
    """A built program. `places`: offsets into the file; `controller`: from where it is mapped.

    `base`: where that is, unless the program is position independent.
    """

    path: Path
    places: dict[str, int]
    controller: int
    base: int


@cache
def goroot() -> Path:
    """The newest Go. Ends the test as unavailable where it cannot be had."""
    try:
        return toolchain(RELEASES[-1])
    except GoUnavailable as error:
        unavailable(f"Go {RELEASES[-1]}: {error}")


def build(name: str, directory: Path, *flags: str) -> Binary:
    """Build tests/workloads/go/NAME.go into a directory."""
    root = goroot()
    target = directory / "-".join((name, *(flag.strip("-=").split("=")[-1] for flag in flags)))
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "GOROOT": str(root),
        "GO111MODULE": "off",
        "GOCACHE": str(CACHE / "cache"),
        "GOTOOLCHAIN": "local",
    }
    command = [root / "bin" / "go", "build", *flags, "-o", target, PROGRAMS / f"{name}.go"]
    subprocess.run(command, env=environment, check=True, timeout=300)
    return examined(target)


def stripped(binary: Binary) -> Binary:
    """The same machine code without names."""
    target = binary.path.with_name(f"{binary.path.name}-stripped")
    subprocess.run(["strip", "-o", target, binary.path], check=True)
    return binary._replace(path=target)


def examined(path: Path) -> Binary:
    """Where in the file the probed functions and gcController are."""
    data = path.read_bytes()
    names = symbols(data)
    places = {
        point: _cheap(data, file_offset(data, names[f"runtime.{function}"]))
        for point, function in FUNCTIONS.items()
    }
    base = min(begin for _, begin, _ in _loaded(data))
    return Binary(path, places, names[CONTROLLER] - base, base)


def symbols(data: bytes) -> dict[str, int]:
    """The symbol table of a little-endian ELF64 file."""
    (start,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    heads = [struct.unpack_from("<IIQQQQIIQQ", data, start + i * size) for i in range(count)]
    table = next(head for head in heads if head[1] == 2)
    texts = heads[table[6]][4]
    found = {}
    for at in range(table[4], table[4] + table[5], 24):
        name, _, _, _, value, _ = struct.unpack_from("<IBBHQQ", data, at)
        end = data.index(b"\0", texts + name)
        found[data[texts + name : end].decode(errors="replace")] = value
    return found


class Functions:
    """The functions of a binary that has its names, by address."""

    def __init__(self, binary: Binary) -> None:
        data = binary.path.read_bytes()
        texts = [begin for _, begin, _ in _loaded(data, executable=True)]
        self.text = min(texts)
        found = sorted((value, name) for name, value in symbols(data).items() if value)
        self._starts = [value for value, _ in found]
        self._names = [name for _, name in found]

    def name(self, address: int) -> str:
        """The function that an address, as linked, is in."""
        return self._names[bisect_right(self._starts, address) - 1]

    def span(self, name: str) -> tuple[int, int]:
        """Where a function begins, and the one behind it."""
        at = self._names.index(name)
        return self._starts[at], self._starts[at + 1]


def file_offset(data: bytes, address: int) -> int:
    """Where in the file the byte is that is mapped at an address, as linked."""
    for offset, begin, length in _loaded(data):
        if begin <= address < begin + length:
            return offset + address - begin
    raise LookupError(hex(address))


def _loaded(data: bytes, executable: bool = False) -> Iterator[tuple[int, int, int]]:
    """Offset, address and length of each part of the file that is mapped (to be executed)."""
    (start,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for at in range(start, start + count * size, size):
        kind, flags, offset, begin, _, length = struct.unpack_from("<IIQQQQ", data, at)
        if kind == 1 and (flags & 1 or not executable):
            yield offset, begin, length


def _cheap(data: bytes, entry: int) -> int:
    """The first instruction of a function that the kernel need not step over."""
    code = data[entry : entry + 32]
    if _PUSH in code:
        return entry + code.index(_PUSH)
    jumps = [code.index(jump) for jump in (_FAR_JBE, _JBE) if jump in code]
    return entry + min(jumps)


class Traced(NamedTuple):
    """One line of GODEBUG=gctrace=1, times in nanoseconds."""

    first_pause: float
    concurrent: float
    last_pause: float
    forced: bool


_LINE = re.compile(
    r"^gc \d+ @\S+ \d+%: ([\d.e+-]+)\+([\d.e+-]+)\+([\d.e+-]+) ms clock.*?(\(forced\))?$",
    re.MULTILINE,
)


def traced(text: str) -> list[Traced]:
    """Every collection that the runtime itself told."""
    return [
        Traced(*(float(line[part]) * 1e6 for part in (1, 2, 3)), forced=bool(line[4]))
        for line in _LINE.finditer(text)
    ]
