"""Small file systems of every kind, made for a test and mounted below its directory.

On loop devices with direct I/O, so that the image is not cached a second time.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.outcomes import unavailable

IMAGE_BYTES = {"ext4": 64 << 20, "xfs": 320 << 20, "btrfs": 192 << 20}
"""The least each mkfs takes, and some room. Sparse: little of it is ever written."""
MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}


@contextmanager
def mounted(kind: str, directory: Path) -> Iterator[Path]:
    """Mount a new file system of this kind below `directory`; yield where."""
    _need(kind)
    point = directory / "mnt"
    point.mkdir(parents=True)
    options = ["-t", kind, "none"] if kind == "tmpfs" else _options(kind, directory)
    _run("mount", *options, str(point))
    try:
        yield point
    finally:
        _run("umount", str(point))
        for loop in _output("losetup", "-n", "-O", "NAME", "-j", str(directory / "image")).split():
            _run("losetup", "-d", loop)


@contextmanager
def mounted_again(point: Path, subvolume: str, directory: Path) -> Iterator[Path]:
    """Mount one subvolume of a mounted btrfs at `directory`, too."""
    directory.mkdir()
    source = _output("findmnt", "-n", "-o", "SOURCE", str(point)).strip()
    _run("mount", "-t", "btrfs", "-o", f"subvol={subvolume}", source, str(directory))
    try:
        yield directory
    finally:
        _run("umount", str(directory))


def _options(kind: str, directory: Path) -> list[str]:
    if kind == "overlay":
        layers = [directory / name for name in ("lower", "upper", "work")]
        for layer in layers:
            layer.mkdir()
        names = zip(("lowerdir", "upperdir", "workdir"), layers, strict=True)
        return ["-t", kind, "-o", ",".join(f"{key}={path}" for key, path in names), "none"]
    image = directory / "image"
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES[kind])
    _run(*MAKE[kind], str(image))
    return ["-t", kind, _output("losetup", "--direct-io=on", "-f", "--show", str(image)).strip()]


def _need(kind: str) -> None:
    subprocess.run(["modprobe", "-q", kind], check=False)
    known = Path("/proc/filesystems").read_text().split()
    if kind not in known:
        unavailable(f"this kernel has no {kind}")


def _run(*command: str) -> None:
    _output(*command)


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
