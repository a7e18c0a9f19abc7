"""Where containers/storage, the library under podman and CRI-O, keeps containers on disk.

Reads its configuration, no container.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from memtrace.host.files import read_beneath
from memtrace.host.runtimes import documents
from memtrace.host.runtimes.homes import home

_SETTINGS = "etc/containers/storage.conf"
_LIMIT = 1 << 20  # bytes


class Store(NamedTuple):
    """Directories relative to the root: what lasts, and what is gone after a boot."""

    graph: str
    run: str


_DEFAULT = Store("var/lib/containers/storage", "run/containers/storage")


def stores(root: Path, owner: int | None) -> tuple[Store, ...]:
    """The stores of the system (the configured one first), or of a user without root."""
    if owner is None:
        configured = _configured(root)
        return (_DEFAULT,) if configured == _DEFAULT else (configured, _DEFAULT)
    where = home(root, owner)
    if where is None:
        return ()
    return (Store(f"{where}/.local/share/containers/storage", f"run/user/{owner}/containers"),)


def _configured(root: Path) -> Store:
    data = read_beneath(root, _SETTINGS, _LIMIT)
    if data is None:
        return _DEFAULT
    table = documents.part(parse_toml(data), "storage")
    graph, run = documents.text(table, "graphroot"), documents.text(table, "runroot")
    return Store((graph or _DEFAULT.graph).strip("/"), (run or _DEFAULT.run).strip("/"))


def parse_toml(data: bytes) -> documents.Document | None:
    """A TOML document as a dictionary, or None when it is none."""
    import tomllib  # 1 MB that few hosts need

    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        return None
