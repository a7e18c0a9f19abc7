"""BPF programs, maps and links: what a process holds, and what is still in the kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

BPFTOOL = shutil.which("bpftool") or "/usr/sbin/bpftool"
KINDS = ("prog", "map", "link")

Held = set[tuple[str, int]]


def held_by(pid: int) -> Held:
    """Return (kind, id) of every BPF program, map and link that a process has open."""
    held: Held = set()
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            lines = dict(
                line.split(":", 1) for line in info.read_text().splitlines() if ":" in line
            )
        except FileNotFoundError:
            continue
        held.update((kind, int(lines[f"{kind}_id"])) for kind in KINDS if f"{kind}_id" in lines)
    return held


def existing() -> Held:
    """Return (kind, id) of everything that is loaded now."""
    return {(kind, number) for kind in KINDS for number in _ids(kind)}


def _ids(kind: str) -> list[int]:
    shown = subprocess.run([BPFTOOL, "-j", kind, "list"], capture_output=True, check=True)
    return [entry["id"] for entry in json.loads(shown.stdout or b"[]")]
