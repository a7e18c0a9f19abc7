"""Fixtures of the kernel tests: known workloads, rooms to run them in, one memtrace for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.harness.files import disk_directory
from tests.kernel.harness.memtrace import Memtrace
from tests.kernel.harness.room import Rooms
from tests.kernel.harness.workloads import Workloads


@pytest.fixture(scope="session")
def workloads(tmp_path_factory: pytest.TempPathFactory) -> Workloads:
    """The compiled workloads."""
    return Workloads(tmp_path_factory.mktemp("workloads"))


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """A directory on a real disk, removed after the module."""
    with disk_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def rooms(disk: Path, workloads: Workloads) -> Iterator[Rooms]:
    """Rooms for workloads, closed after the module."""
    with Rooms(disk / "rooms", workloads) as rooms:
        yield rooms


@pytest.fixture(scope="session")
def memtrace() -> Iterator[Memtrace]:
    """One `memtrace top --json 1` for the whole run, its first snapshot already there."""
    with Memtrace() as running:
        running.first()
        yield running
