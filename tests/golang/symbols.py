"""What binutils and the go command say of a program: the referee of these tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

_CALLED = re.compile(r"^\s*[0-9a-f]+:\s+(.+?)\s*$", re.MULTILINE)
_ABI = re.compile(r"\.abi(0|internal)$")
_LEFT_OUT = re.compile(
    r".*(\.cold|\.part\.\d+|\.isra\.\d+|@.*)$|_cgo|x_cgo|type[.:]|runtime\.e?text$"
)


def output(*command: str | Path) -> str:
    """What a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def addresses(path: Path) -> dict[str, int]:
    """The symbols of a program that was not stripped."""
    rows = (line.split(None, 2) for line in output("nm", path).splitlines())
    return {row[2]: int(row[0], 16) for row in rows if len(row) == 3}


def functions(path: Path) -> dict[int, str]:
    """Go's functions by address, without those of C and the comparisons the compiler makes."""
    rows = (line.split() for line in output("readelf", "-sW", path).splitlines())
    named = {
        int(row[1], 16): _ABI.sub("", row[7])
        for row in rows
        if len(row) == 8 and row[3] == "FUNC" and row[6] != "UND"
    }
    return {at: name for at, name in named.items() if "." in name and _LEFT_OUT.match(name) is None}


def instruction(path: Path, address: int) -> str:
    """The instruction at an address, as objdump writes it."""
    span = (f"--start-address={address:#x}", f"--stop-address={address + 16:#x}")
    text = output("objdump", "-d", "--no-show-raw-insn", *span, path)
    return re.sub(r"\s+", " ", _CALLED.findall(text)[0])
