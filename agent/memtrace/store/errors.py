"""The one error of this room."""

from __future__ import annotations


class StoreError(Exception):
    """A recording cannot be written or read; the message is one sentence for people."""
