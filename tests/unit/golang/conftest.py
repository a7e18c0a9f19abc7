"""Synthetic programs as open files, closed when the test ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.unit.golang.synthetic import opened

Open = Callable[[bytes], int]


@pytest.fixture
def open_bytes() -> Iterator[Open]:
    """Bytes as an open file."""
    fds: list[int] = []

    def one(data: bytes) -> int:
        fds.append(opened(data))
        return fds[-1]

    yield one
    for fd in fds:
        os.close(fd)
