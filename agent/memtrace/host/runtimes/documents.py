"""JSON documents that runtimes leave on disk, taken apart without trust. Opens no file.

They also hold environments of containers, which may be secret: nothing here keeps or
logs more than the text that was asked for.
"""

from __future__ import annotations

import json
from typing import Any

Document = dict[str, Any]

_MARKS = (b",", b"[", b"{")
_MAX_PARTS = 200_000  # as objects of Python 15 MB; the largest list of podman has 150,000
_MAX_TEXT = 512  # characters; Kubernetes names have at most 253
POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
CONTAINER_NAME = "io.kubernetes.container.name"
"""Labels the kubelet gives every container; cri-dockerd and CRI-O hand them on."""


def parse_json(data: bytes) -> Any:
    """Any JSON value, or None when it is none, or one of more parts than any real one has."""
    if sum(map(data.count, _MARKS)) > _MAX_PARTS:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def parse_object(data: bytes) -> Document | None:
    """A JSON object as a dictionary, or None when it is none."""
    value = parse_json(data)
    return value if isinstance(value, dict) else None


def part(document: Document | None, key: str) -> Document:
    """The object under a key; empty when there is none."""
    value = document.get(key) if document is not None else None
    return value if isinstance(value, dict) else {}


def text(document: Document, key: str) -> str | None:
    """The text under a key, or None when absent, empty, too long or not printable."""
    value = document.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT or not value.isprintable():
        return None
    return value
