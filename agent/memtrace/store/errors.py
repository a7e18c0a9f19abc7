"""The errors of this room."""

from __future__ import annotations


class StoreError(Exception):
    """A recording cannot be written or read; the message is one sentence for people."""


class UnusableError(StoreError):
    """What is there is damaged, somebody else's or of a newer memtrace: trying again is no use."""
