"""Fixtures of the end-to-end tests: the kernel tests' own, as they are."""

from __future__ import annotations

from tests.kernel.conftest import disk, memtrace, rooms, workloads

__all__ = ["disk", "memtrace", "rooms", "workloads"]
