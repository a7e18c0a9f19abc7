"""Containers of podman, from the lists of its storage. Makes no RPC.

A list is one file for all containers, there 57 ms before the cgroup (podman 4.3): it is
read again only when it changed. Containers of `podman run --rm` are in a list of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from memtrace.host.files import Version, names_beneath, read_beneath, version_beneath
from memtrace.host.runtimes import documents, paths
from memtrace.host.runtimes.storage import stores
from memtrace.samples import Identity

_LISTS = ("containers.json", "volatile-containers.json")
_LIST_LIMIT = 4 << 20  # bytes; a container takes about 600
_MAX_LISTS = 64
_MAX_NAMES = 64  # names in a store's directory
_ID = re.compile(r"[0-9a-f]{64}")


class Named(NamedTuple):
    """What a list says of one container."""

    name: str
    image: str | None


class Podman:
    """Containers by the name they were given, of root and of users."""

    name = "podman"

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[str, tuple[Version, dict[str, Named]]] = {}

    def identify(self, cgroup_path: str) -> Identity | None:
        """The container whose id the path carries, or None when no list has it (yet)."""
        known = paths.container(cgroup_path)
        if known is None or known.runtime != self.name:
            return None
        owner = paths.user_id(cgroup_path)
        for where in self._lists(owner):
            found = self._containers(where, owner).get(known.id)
            if found is not None:
                return Identity(
                    "container",
                    found.name,
                    runtime=self.name,
                    container=found.name,
                    image=found.image,
                    resolved_by=self.name,
                )
        return None

    def _lists(self, owner: int | None) -> Iterator[str]:
        """Every list there may be: <store>/<driver>-containers/<list>."""
        for store in stores(self._root, owner):
            for directory in store:
                for name in names_beneath(self._root, directory, _MAX_NAMES):
                    if name.endswith("-containers"):
                        yield from (f"{directory}/{name}/{listed}" for listed in _LISTS)

    def _containers(self, where: str, owner: int | None) -> dict[str, Named]:
        """The containers of one list, as it is now."""
        now = version_beneath(self._root, where)
        if now is None or now.size > _LIST_LIMIT:
            return {}
        read = self._read.get(where)
        if read is None or read[0] != now:
            if len(self._read) >= _MAX_LISTS:
                self._read.clear()
            data = read_beneath(self._root, where, _LIST_LIMIT, owner)
            read = self._read[where] = (now, parse_list(data or b""))
        return read[1]


def parse_list(data: bytes) -> dict[str, Named]:
    """The containers of a containers.json by id. Entries that make no sense are left out."""
    entries = documents.parse_json(data)
    found = (_entry(entry) for entry in entries) if isinstance(entries, list) else ()
    return {container_id: named for container_id, named in found if named is not None}


def _entry(entry: Any) -> tuple[str, Named | None]:
    """One container; None when it has no name, or is one of CRI-O, which shares the list."""
    if not isinstance(entry, dict):
        return "", None
    container_id, names, more = entry.get("id"), entry.get("names"), entry.get("metadata")
    known = isinstance(container_id, str) and _ID.fullmatch(container_id) is not None
    text = more.encode("utf-8", "surrogatepass") if isinstance(more, str) else b""
    metadata = documents.parse_object(text)
    if not known or not isinstance(names, list) or not names or "pod-name" in (metadata or {}):
        return "", None
    name = documents.text({"name": names[0]}, "name")
    image = documents.text(metadata or {}, "image-name")
    return str(container_id), Named(name, image) if name is not None else None
