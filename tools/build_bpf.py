#!/usr/bin/env python3
"""Compile bpf/*.bpf.c into agent/memtrace/bpf/*.bpf.o: the one place that knows how.

The sources are copied beside the objects: the second engine compiles them on the node.

Used by `make build` (as a script) and by the hatchling build hook (as a module).
An object depends on the sources and the compiler only: paths are relative and DWARF
is stripped, so two checkouts give the same bytes. Does not load or check anything,
and does not install the compiler. Standard library only.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = Path("bpf")
OBJECTS = Path("agent/memtrace/bpf")
SHIPPED = OBJECTS / "src"  # for the BCC engine, which compiles where it runs

# The names libbpf's bpf_tracing.h uses for the register layout of each machine.
ARCHES = {"x86_64": "x86", "amd64": "x86", "aarch64": "arm64", "arm64": "arm64"}


class BuildError(Exception):
    """A sentence that says what is missing or which source does not compile."""


def tool(name: str) -> str | None:
    """The path of a compiler tool, or of its newest versioned twin (clang-19, ...)."""
    if found := os.environ.get(name.upper().replace("-", "_")) or shutil.which(name):
        return found
    twins = (
        entry
        for folder in os.get_exec_path()
        for entry in Path(folder).glob(f"{name}-*")
        if re.fullmatch(re.escape(name) + r"-\d+", entry.name)
    )
    return max(map(str, twins), key=lambda path: int(path.rsplit("-", 1)[1]), default=None)


def sources(root: Path = ROOT) -> list[Path]:
    """Every BPF program source, relative to `root`, in a stable order."""
    return sorted(path.relative_to(root) for path in (root / SOURCES).glob("*.bpf.c"))


def object_for(source: Path) -> Path:
    """Where the object of a source is written, relative to the root."""
    return OBJECTS / source.with_suffix(".o").name


def is_current(source: Path, root: Path = ROOT) -> bool:
    """Whether the object is younger than every source, every header and this file."""
    target = root / object_for(source)
    if not target.exists():
        return False
    inputs = [Path(__file__), *(root / SOURCES).rglob("*.[ch]")]  # a source may include another
    return target.stat().st_mtime_ns > max(path.stat().st_mtime_ns for path in inputs)


def compile_command(clang: str, source: Path, output: Path, machine: str) -> list[str]:
    """The clang call, run from the root so that no absolute path enters the object."""
    return [
        clang,
        *("-O2", "-g", "-target", "bpf", "-mcpu=v2", f"-D__TARGET_ARCH_{ARCHES[machine]}"),
        *("-Wall", "-Werror", f"-I{SOURCES / 'include'}", "-fdebug-compilation-dir=."),
        # Debian keeps asm/*.h, which <linux/bpf.h> includes, in a directory per machine.
        *("-idirafter", f"/usr/include/{machine}-linux-gnu"),
        *("-c", str(source), "-o", str(output)),
    ]


def run(command: list[str], root: Path) -> None:
    """Run one tool in `root`; its own messages go through to the terminal."""
    done = subprocess.run(command, cwd=root, check=False)
    if done.returncode != 0:
        raise BuildError(f"{Path(command[0]).name} failed: {' '.join(command)}")


def build_one(source: Path, root: Path = ROOT, machine: str | None = None) -> Path:
    """Compile and strip one source; the finished object appears in one rename."""
    clang, strip = tool("clang"), tool("llvm-strip")
    if clang is None or strip is None:
        raise BuildError("clang and llvm-strip are needed to compile bpf/*.bpf.c")
    machine = machine or platform.machine()
    if machine not in ARCHES:
        raise BuildError(f"no BPF register layout for machine {machine!r}")
    target = object_for(source)
    (root / target).parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.tmp")
    try:
        run(compile_command(clang, source, partial, machine), root)
        run([strip, "-g", str(partial)], root)
        (root / partial).replace(root / target)
    finally:
        (root / partial).unlink(missing_ok=True)
    return target


def build_all(root: Path = ROOT, *, force: bool = False, machine: str | None = None) -> list[Path]:
    """Compile every source that changed and return the objects that were written."""
    wanted = [path for path in sources(root) if force or not is_current(path, root)]
    return [build_one(path, root, machine) for path in wanted]


def ship_sources(root: Path = ROOT) -> None:
    """Copy every source and header beside the objects."""
    shutil.rmtree(root / SHIPPED, ignore_errors=True)
    for path in sorted((root / SOURCES).rglob("*.[ch]")):
        target = root / SHIPPED / path.relative_to(root / SOURCES)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def remove_orphans(root: Path = ROOT) -> None:
    """Delete objects whose source is gone, so that an old probe is never shipped."""
    known = {root / object_for(path) for path in sources(root)}
    for path in (root / OBJECTS).glob("*.bpf.o"):
        if path not in known:
            path.unlink()


def main() -> int:
    """Command line: build what changed, name each object written."""
    parser = argparse.ArgumentParser(description="Compile bpf/*.bpf.c.")
    parser.add_argument("--force", action="store_true", help="compile even what is current")
    parser.add_argument("--root", type=Path, default=ROOT, help="source tree (default: this one)")
    parser.add_argument("--machine", choices=sorted(ARCHES), help="target machine (default: here)")
    args = parser.parse_args()
    try:
        remove_orphans(args.root)
        ship_sources(args.root)
        for path in build_all(args.root, force=args.force, machine=args.machine):
            print(f"  {path}", file=sys.stderr)
    except BuildError as error:
        print(f"build_bpf: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
