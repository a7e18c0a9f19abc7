"""When a step of `doctor --verify` counts as proven."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memtrace.commands.verify import Step
from memtrace.kernel.referee import Net

AGREED = Step("write", 4099, 4099, 4100, 4100, 7, Net(4100, 7))


def test_all_agree() -> None:
    """The file is as written, and ledger, memory.stat and the second referee are one figure."""
    assert AGREED.ok


def test_without_a_second_referee_memory_stat_decides() -> None:
    """An absent witness says neither yes nor no."""
    assert replace(AGREED, referee=None).ok
    assert not replace(AGREED, referee=None, kernel=4101).ok


@pytest.mark.parametrize(
    "wrong",
    [
        {"file": 4098},
        {"kernel": 4099},
        {"ledger": None},
        {"ledger": None, "kernel": None},
        {"referee": Net(4099, 7)},
        {"referee": Net(4100, 6)},
    ],
)
def test_one_page_off_is_not_proven(wrong: dict[str, Any]) -> None:
    """Whichever of them it is."""
    assert not replace(AGREED, **wrong).ok


@pytest.mark.parametrize(
    ("file", "proven"), [(4099, True), (4092, True), (4091, False), (4100, False)]
)
def test_what_reclaim_took_is_no_difference(file: int, proven: bool) -> None:
    """Seven pages are in the ledger as reclaimed: no more than those may be missing."""
    assert replace(AGREED, file=file, reclaimed=7).ok == proven
