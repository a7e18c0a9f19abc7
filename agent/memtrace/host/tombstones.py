"""Who was behind each cgroup, kept in a file for the time after removal and restart.

A removed container's pages live on under its cgroup id, and nobody else can say any more
whose they are. Ids are unique within one boot only. The file is shared by all memtraces of
a machine, replaced as a whole, and believed only as far as it makes sense. Knows no clock
and reads no cgroup.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from memtrace.host.files import (
    Version,
    read_beneath,
    read_bytes,
    replace_file,
    version_beneath,
)
from memtrace.host.runtimes import documents
from memtrace.samples import Feature, Identity

FILE = "tombstones.json"
VERSION = 1
KEPT_SECONDS = 24 * 3600.0
"""How long an entry stays that no cgroup known to the kernel has any more."""
SAVE_SECONDS = 10.0
"""Names younger than this are lost when memtrace is killed."""
MAX_ENTRIES = 4096
_LIMIT = 4 << 20  # bytes; 4096 entries of ordinary length take about 1 MB
_KINDS = ("container", "sandbox", "pod")
_TEXTS = ("runtime", "namespace", "pod", "container", "image")
_MAX_ID = 1 << 64
_MAX_PATH = 4096
_SELF = "tombstone"  # what `resolved_by` shows


class Entry:
    """A cgroup's path and identity, and when the kernel last knew it (seconds, wall clock)."""

    __slots__ = ("identity", "path", "seen")

    def __init__(self, path: str, identity: Identity, seen: float) -> None:
        self.path = path
        self.identity = identity
        self.seen = seen


class Tombstones:
    """Identities by cgroup id. Where the directory cannot be used, only `feature` says so."""

    def __init__(self, directory: Path, root: Path = Path("/")) -> None:
        self._directory = directory
        boot = read_bytes(root / "proc/sys/kernel/random/boot_id", 64) or b""
        self._boot = boot.decode("ascii", "replace").strip()
        self._entries: dict[int, Entry] = {}
        self._changed = False
        self._version: Version | None = None
        self._tried: float | None = None
        self._looked = 0.0
        self.feature = _make(directory)
        if self.feature.enabled:
            self._merge()

    def identity(self, cgroup_id: int) -> Identity | None:
        """Who was behind it, or None. The answer says that it comes from here."""
        entry = self._entries.get(cgroup_id)
        return None if entry is None else entry.identity

    def path(self, cgroup_id: int) -> str | None:
        """Where it was: of a removed cgroup the kernel tells the last part of its path only."""
        entry = self._entries.get(cgroup_id)
        return None if entry is None else entry.path

    def remember(self, cgroup_id: int, path: str, identity: Identity) -> None:
        """Keep an identity that somebody told; the latest counts."""
        identity = replace(identity, resolved_by=_SELF)
        known = self._entries.get(cgroup_id)
        if known is None or (known.path, known.identity) != (path, identity):
            self._entries[cgroup_id] = Entry(path, identity, 0.0)
            self._changed = True

    def save(self, alive: Collection[int], now: float, at_once: bool = False) -> None:
        """Write what changed or is gone, at most every SAVE_SECONDS. Never raises.

        `alive`: ids the kernel still knows, removed ones included. `now`: wall clock.
        """
        early = self._tried is not None and 0 <= now - self._tried < SAVE_SECONDS
        if (early and not at_once) or not (self._changed or self._is_gone(now)):
            return
        self._tried = now
        self._merge()
        self._date(alive, now)
        try:
            self._write()
        except OSError as error:
            self.feature = _off(f"{self._directory} cannot be written: {error.strerror}")
        else:
            self._changed = False
            self.feature = Feature(True)

    def _is_gone(self, now: float) -> bool:
        """Whether somebody removed the file, or its directory; looked at every SAVE_SECONDS."""
        if self._version is None or 0 <= now - self._looked < SAVE_SECONDS:
            return False
        self._looked = now
        return not os.path.lexists(self._directory / FILE)

    def _merge(self) -> None:
        """Take over what the file knows, from before or from another memtrace."""
        version = version_beneath(self._directory, FILE)
        if version is None or version == self._version:
            return
        self._version = version
        data = read_beneath(self._directory, FILE, _LIMIT, os.geteuid())
        for cgroup_id, entry in parse(data or b"", self._boot).items():
            self._entries.setdefault(cgroup_id, entry)

    def _date(self, alive: Collection[int], now: float) -> None:
        """Stamp what is there, drop what has long been gone, and the oldest of too many."""
        for cgroup_id, entry in self._entries.items():
            if cgroup_id in alive or not 0 < entry.seen <= now:
                entry.seen = now
        kept = [item for item in self._entries.items() if now - item[1].seen < KEPT_SECONDS]
        kept.sort(key=lambda item: item[1].seen)
        self._entries = dict(kept[-MAX_ENTRIES:])

    def _write(self) -> None:
        """Replace the file: complete or not at all, also when the power fails. Raises OSError."""
        entries = [_row(*item) for item in self._entries.items()]
        document = {"version": VERSION, "boot_id": self._boot, "entries": entries}
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            replace_file(folder, FILE, json.dumps(document, separators=(",", ":")).encode())
        finally:
            os.close(folder)
        self._version = version_beneath(self._directory, FILE)


def parse(data: bytes, boot: str) -> dict[int, Entry]:
    """The entries of a file written in this boot; whatever makes no sense is left out."""
    document = documents.parse_object(data) or {}
    rows = document.get("entries")
    known = document.get("version") == VERSION and document.get("boot_id") == boot != ""
    if not known or not isinstance(rows, list):
        return {}
    parsed = (_entry(row) for row in rows[:MAX_ENTRIES])
    return dict(found for found in parsed if found is not None)


def _entry(row: Any) -> tuple[int, Entry] | None:
    if not isinstance(row, dict) or row.get("kind") not in _KINDS:
        return None
    cgroup_id, seen, name = row.get("id"), row.get("seen"), documents.text(row, "name")
    if type(cgroup_id) is not int or not 0 < cgroup_id < _MAX_ID:
        return None
    if type(seen) is not float or not 0 < seen < 1e11 or name is None:
        return None
    path = row.get("path")
    if not isinstance(path, str) or not path.startswith("/") or len(path) > _MAX_PATH:
        return None
    texts = {key: documents.text(row, key) for key in _TEXTS}
    return cgroup_id, Entry(path, Identity(row["kind"], name, **texts, resolved_by=_SELF), seen)


def _row(cgroup_id: int, entry: Entry) -> documents.Document:
    facts = asdict(entry.identity)
    del facts["resolved_by"]
    return {"id": cgroup_id, "seen": entry.seen, "path": entry.path, **facts}


def _make(directory: Path) -> Feature:
    """Make the directory, readable by its owner alone; whether it can be used."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return _off(f"{directory} cannot be made: {error.strerror}")
    if not os.access(directory, os.W_OK | os.X_OK):
        return _off(f"{directory} is not writable")
    return Feature(True)


def _off(reason: str) -> Feature:
    return Feature(False, f"{reason}: after a restart removed containers have no name")
