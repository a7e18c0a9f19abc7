"""What every test of this room has."""

from __future__ import annotations

import pytest

from tests.unit.collect import standing_still


@pytest.fixture(autouse=True)
def passed_over(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The cgroups that were passed over; each is proven to be as it was."""
    return standing_still.prove(monkeypatch)
