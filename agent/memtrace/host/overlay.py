r"""The layers of an overlay mount: directories of the host, from the options in mountinfo.

Reads links, no content. Knows nothing of containers. Every string is what somebody gave to
mount(2), perhaps in a namespace of his own: what cannot be found on the host is left out.

Not known: directories renamed inside a container (redirect_dir), whose files keep the
name they had in the image; files of data-only layers (lowerdir=a::b), which have none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from memtrace.host.files import real_directory
from memtrace.host.mounts import Mount, MountTable, unescaped, upwards

MAX_LAYERS = 512
"""Of one mount; the kernel's own bound is 500 (OVL_MAX_STACK)."""
_MAX_PATH = 4096
_MAX_KNOWN = 4096
_LAYERS = re.compile(r"(?:[^:\\]|\\.?)+|::?", re.DOTALL)
_BACKSLASH = re.compile(r"\\(.)", re.DOTALL)

Place = tuple[int, str]
"""A device (major << 20 | minor) and a directory within its file system, with a slash behind."""


def layers(super_options: str) -> tuple[str, ...]:
    """The directories of an overlay, uppermost first, as they were given: maybe relative.

    Data-only layers are left out: their files are not seen under their own paths.
    """
    upper: list[str] = []
    lower: list[str] = []
    for option in super_options.split(","):
        key, _, escaped = option.partition("=")
        value = unescaped(escaped.encode("utf-8", "surrogateescape"))
        if key == "upperdir":
            upper.append(_plain(value))
        elif key == "lowerdir":
            lower += _split(value)
        elif key == "lowerdir+":
            lower.append(value)
    found = (path for path in upper + lower if 0 < len(path) < _MAX_PATH)
    return tuple(found)[:MAX_LAYERS]


def _split(value: str) -> Iterator[str]:
    """The directories of lowerdir=a:b::data, where a backslash keeps what follows it."""
    for match in _LAYERS.finditer(value):
        if match[0] == "::":
            return
        if match[0] != ":":
            yield _plain(match[0])


def _plain(path: str) -> str:
    return _BACKSLASH.sub(r"\1", path)


class LayerFinder:
    """Finds layers on the host, each once: containers of one image share most of theirs."""

    def __init__(self, root: Path, mounts: MountTable) -> None:
        init = root / "proc/1/root"  # all of the host, also where `root` is only a part of it
        self._root = init if os.path.isdir(init) else root
        self._mounts = mounts
        self._known: dict[str, Place] = {}

    def places(self, mount: Mount) -> tuple[Place, ...]:
        """Where the layers of an overlay are; those that cannot be found are left out."""
        given = layers(mount.super_options)
        bases = self._bases(mount, given)
        placed = (self._place(path, bases) for path in given)
        return tuple(place for place in placed if place is not None)

    def _bases(self, mount: Mount, given: tuple[str, ...]) -> list[str]:
        """Where relative layers may start: where mount(2) was called is not told.

        docker and podman call it in their directory, in which the overlay is mounted, too;
        containerd in the directory that all layers share, and keeps upperdir absolute.
        """
        known = [path for path in given if path.startswith("/")][:1]
        points = self._mounts.index.points(mount.device)[:1]
        return [above for path in known + points for above in upwards(path)]

    def _place(self, path: str, bases: list[str]) -> Place | None:
        if path.startswith("/"):
            return self._absolute(path)
        for base in bases:
            found = self._real(f"{base}/{path}")
            if found is not None:
                bases[:] = [base]
                return self._located(found)
        bases.clear()
        return None

    def _absolute(self, path: str) -> Place | None:
        found = self._known.get(path)
        if found is None:
            found = self._located(self._real(path) or path)
            if found is not None:
                if len(self._known) >= _MAX_KNOWN:
                    self._known.clear()
                self._known[path] = found
        return found

    def _located(self, path: str) -> Place | None:
        found = self._mounts.index.locate(path)
        return found and (found[0], found[1].rstrip("/") + "/")

    def _real(self, path: str) -> str | None:
        return None if self._mounts.may_hang(path) else real_directory(self._root, path)
