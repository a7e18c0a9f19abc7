"""BPF programs, maps and links: what a process holds, and what is still in the kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

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
    return [entry["id"] for entry in _listed(kind)]


def attached_programs(pid: int) -> set[str]:
    """Return the names of the programs that a process has attached through links it holds."""
    links = {number for kind, number in held_by(pid) if kind == "link"}
    programs = {entry["prog_id"] for entry in _listed("link") if entry["id"] in links}
    return {entry.get("name", "") for entry in _listed("prog") if entry["id"] in programs}


def _listed(kind: str) -> list[dict[str, Any]]:
    shown = subprocess.run([BPFTOOL, "-j", kind, "list"], capture_output=True, check=True)
    listed: list[dict[str, Any]] = json.loads(shown.stdout or b"[]")
    return listed
