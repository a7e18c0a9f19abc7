"""The agent as a pod with a limit of 128 MiB beside a hundred containers: minutes, all the same.

It runs beside the other tests from the first on (conftest.py), which make the load of a node.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.soak import Soaking, flat

pytestmark = pytest.mark.timeout(900)

LIMIT = 128 << 20


@pytest.fixture(scope="module")
def said(soaking: Soaking) -> dict[str, Any]:
    """What it came to, once it is over."""
    return soaking.result()


def test_it_lives_within_its_limit(said: dict[str, Any]) -> None:
    """Never killed, and so never restarted; well until the end."""
    assert (said["limit"], said["kills"], said["lives"]) == (LIMIT, 0, True)
    assert (said["health"]["status"], said["health"]["degraded"]) == ("ok", {})


def test_it_loses_nothing(said: dict[str, Any]) -> None:
    """By its own counters of what did not reach it."""
    assert said["lost"]
    assert not any(said["lost"].values())


def test_it_does_not_grow(said: dict[str, Any]) -> None:
    """Resident memory of the second half is that of the first, once it is warm."""
    before, after = flat(said["series"])
    print(f"resident: {before / 1e6:.1f} MB, then {after / 1e6:.1f} MB")
    assert after <= before * 1.05
