"""A program packed by UPX says so: what is in its file is not its code."""

from __future__ import annotations

import subprocess
from pathlib import Path

from memtrace.golang.binary import inspect_path
from memtrace.golang.refusal import State
from tests.golang.programs import Program
from tests.golang.toolchains import CACHE, GoUnavailable, debian
from tests.outcomes import unavailable

SUITE = "trixie"  # bookworm has none
PACKAGES = ("upx-ucl", "libc6", "libstdc++6", "libgcc-s1", "libucl1", "zlib1g")
LIBRARIES = "usr/lib/x86_64-linux-gnu"


def pack(program: Path, target: Path) -> None:
    """Pack a program with Debian's UPX, which brings its own libraries."""
    try:
        root = debian(PACKAGES, CACHE / "upx-ucl", SUITE)
    except GoUnavailable as error:
        unavailable(f"upx-ucl: {error}")
    loader = (root / LIBRARIES / "ld-linux-x86-64.so.2", "--library-path", root / LIBRARIES)
    command = (*loader, root / "usr/bin/upx-ucl", "-q", "-1", "-o", target, program)
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def test_a_packed_program_is_called_packed(static: Program, tmp_path: Path) -> None:
    """It still runs, and is not observed."""
    target = tmp_path / "packed"
    pack(static.stripped, target)
    binary = inspect_path(target)
    assert (binary.state, binary.reason) == (State.PACKED, "packed by UPX: not observed")
    said = subprocess.run((target,), input="gc\n", capture_output=True, text=True, timeout=30)
    assert said.stdout
