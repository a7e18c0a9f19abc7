#!/usr/bin/env python3
"""Compare the places of the runtime's fields that golang/ believes with what each Go says.

For every release a small program is built with its toolchain (tests/golang), and the layout
read from its DWARF by llvm-dwarfdump. Prints a table; exits 1 when one differs, and names
toolchains that are not to be had. Run it, for a new Go with the release added to
tests/golang/toolchains.py, as `.venv/bin/python -m tools.go_offsets [RELEASE...]`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from memtrace.golang.gcstate import OFFSETS, offset_of
from tests.golang.programs import program
from tests.golang.toolchains import RELEASES, GoUnavailable

# What heap_profile.py reads of a bucket, and of memRecord.active behind it.
BUCKET = {"allnext": 8, "typ": 16, "size": 32, "nstk": 40}
RECORD = {"allocs": 0, "frees": 8}
TYPES = {
    "runtime.gcControllerState": None,
    "runtime.bucket": BUCKET,
    "runtime.memRecordCycle": RECORD,
}

_NAME = re.compile(r'DW_AT_name\s+\("([^"]+)"\)')
_PLACE = re.compile(r"DW_AT_data_member_location\s+\((?:DW_OP_plus_uconst )?(0x[0-9a-f]+|\d+)\)")


def layout(path: Path, name: str) -> dict[str, int]:
    """The offsets of all fields of a struct, as the program's DWARF has them."""
    command = ("llvm-dwarfdump", f"--name={name}", "--show-children", str(path))
    dump = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    members = (part for part in dump.split("\n\n") if "DW_TAG_member" in part)
    found = {}
    for member in members:
        field, place = _NAME.search(member), _PLACE.search(member)
        if field and place:
            found[field[1]] = int(place[1], 0)
    return found


def believed(name: str, minor: int) -> dict[str, int]:
    """What golang/ takes the offsets to be in Go 1.`minor`."""
    fixed = TYPES[name]
    return fixed or {field: offset_of(field, minor) for field in OFFSETS}


def differences(path: Path, minor: int) -> list[str]:
    """A line for each field that is not where it is believed to be."""
    wrong = []
    for name in TYPES:
        real = layout(path, name)
        for field, place in believed(name, minor).items():
            if real.get(field) != place:
                wrong.append(f"{name}.{field}: believed {place}, is {real.get(field)}")
    return wrong


def main(releases: list[str]) -> int:
    """Print a line a release, and what differs."""
    failed = False
    for release in releases or RELEASES:
        try:
            built = program(release, "static")
        except GoUnavailable as error:
            print(f"{release}: unavailable: {error}")
            continue
        wrong = differences(built.path, built.minor)
        failed = failed or bool(wrong)
        print(f"{release}: " + ("; ".join(wrong) or f"{len(OFFSETS)} offsets are right"))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
