"""What holds for every guest test: time for a download, and one run per kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.kernels import KERNELS

# A first run may download a kernel; the guest itself has a timeout of its own.
SECONDS = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Allow more time than other tests have, unless a test says how much."""
    for item in items:
        mine = item.path.is_relative_to(Path(__file__).parent)
        if mine and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `guest_kernel` runs on every kernel of the table."""
    if "guest_kernel" in metafunc.fixturenames:
        metafunc.parametrize("guest_kernel", KERNELS, ids=lambda kernel: kernel.version)
