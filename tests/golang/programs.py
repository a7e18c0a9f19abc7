"""Go programs to look at: tests/golang/subject as each toolchain builds it, in five flavours.

Kept below build/go by what the sources are; only what changed is built again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.golang.toolchains import CACHE, GoUnavailable, toolchain
from tests.vm.kernels import last_line, locked

SOURCE = Path(__file__).parent / "subject"
FLAVOURS = {  # cgo: gcc links the program
    "static": ("0",),
    "stripped": ("0", "-ldflags=-s -w"),
    "pie": ("0", "-buildmode=pie"),
    "cgo": ("1",),
    "cgo-pie": ("1", "-buildmode=pie"),
}
_SECONDS = 300


@dataclass(frozen=True)
class Program:
    """A built program, and a copy of it that binutils' strip has been over."""

    release: str
    flavour: str
    path: Path
    stripped: Path

    @property
    def minor(self) -> int:
        """25 of 1.25."""
        return int(self.release.partition(".")[2])


def program(release: str, flavour: str) -> Program:
    """The subject; GoUnavailable where its toolchain is not to be had."""
    root = toolchain(release)
    sources = b"".join(path.read_bytes() for path in sorted(SOURCE.iterdir()))
    made_of = sources + (root / "VERSION").read_bytes()
    folder = CACHE / "programs" / hashlib.sha256(made_of).hexdigest()[:16] / release
    path, stripped = folder / flavour, folder / f"{flavour}.strip"
    with locked(CACHE):
        if not stripped.exists():
            _build(root, FLAVOURS[flavour], path)
            _strip(path, stripped)
    return Program(release, flavour, path, stripped)


def go(root: Path, *arguments: str, cgo: str = "0", cwd: Path = SOURCE) -> str:
    """What a go command prints; it asks nobody outside and leaves nothing outside build/."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(CACHE / "home"),
        "GOROOT": str(root),
        "GOCACHE": str(CACHE / "cache"),
        "GOPATH": str(CACHE / "path"),
        "GOTOOLCHAIN": "local",
        "GOPROXY": "off",
        "GOFLAGS": "-buildvcs=false",
        "CGO_ENABLED": cgo,
    }
    done = subprocess.run(
        (root / "bin" / "go", *arguments),
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    if done.returncode:
        raise RuntimeError(f"go {arguments[0]}: {last_line(done.stderr)}")
    return done.stdout


def said_of(path: Path) -> tuple[str, str]:
    """Version and main package as `go version -m` has them; GoUnavailable without Go 1.19."""
    first, *lines = go(toolchain("1.19"), "version", "-m", str(path)).splitlines()
    words = (line.strip().split("\t") for line in lines)
    return first.rpartition(": ")[2], next(word[1] for word in words if word[0] == "path")


def _build(root: Path, flavour: tuple[str, ...], path: Path) -> None:
    cgo, *options = flavour
    if cgo == "1" and not shutil.which("gcc"):
        raise GoUnavailable("gcc is not installed")
    path.parent.mkdir(parents=True, exist_ok=True)
    go(root, "build", *options, "-o", str(path), ".", cgo=cgo)


def _strip(path: Path, stripped: Path) -> None:
    part = stripped.with_suffix(".part")
    subprocess.run(("strip", "-o", part, path), check=True, timeout=_SECONDS)
    part.rename(stripped)
