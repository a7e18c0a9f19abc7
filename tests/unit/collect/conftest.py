"""What every test of this room has."""

from __future__ import annotations

import pytest

from memtrace.collect import baseline
from tests.unit.collect import standing_still


@pytest.fixture(autouse=True)
def passed_over(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The cgroups that were passed over; each is proven to be as it was."""
    return standing_still.prove(monkeypatch)


@pytest.fixture(autouse=True)
def settling_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the fake kernel's walks cost delays none of them."""
    monkeypatch.setattr(baseline, "SETTLING_SHARE", float("inf"))
