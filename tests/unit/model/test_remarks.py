"""What is said beside every table."""

from __future__ import annotations

import pytest

from memtrace.model import remarks
from memtrace.model.snapshot import snapshot
from memtrace.samples import BaselineState, Ledger, Lost, Memory
from tests.unit.model.builders import MIB, cgroup, sample


def test_the_remainder_is_that_of_what_is_covered() -> None:
    """With how many of the rows it is not known for."""
    known = cgroup(1, memory=Memory(file_bytes=3 * MIB), ledger=Ledger(baseline_bytes=MIB))
    unknown = cgroup(2, memory=Memory(file_bytes=MIB), ledger=Ledger(baseline_bytes=None))
    containers = snapshot(sample(known, unknown), None, None).containers
    assert remarks.unattributed(containers) == (
        "not attributed: 2.0 MiB of 3.0 MiB page cache; unknown for 1 of 2 rows"
    )
    assert remarks.unattributed(containers[1:]) == "not attributed: unknown (needs the baseline)"


def test_losses_are_named_and_so_is_their_absence() -> None:
    """Silence could mean either."""
    assert remarks.losses(Lost()) == "lost: nothing"
    assert remarks.losses(Lost(ring=2, netlink=1)) == "lost: 2 ring events, 1 netlink messages"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "under 10 s"),
        (59, "50 s"),
        (60, "1 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (2e5, "2 d"),
    ],
)
def test_an_age_in_few_words_changes_seldom(seconds: float, words: str) -> None:
    """A number that changes at every refresh is no news."""
    assert remarks.rough_time(seconds) == words


def test_baseline_briefly() -> None:
    """Its state, its age, and what is open."""
    state = BaselineState("settling", age_seconds=31.0, unsettled_files=4)
    assert remarks.baseline_briefly(state) == "baseline: settling, 30 s ago, 4 files open"
    assert remarks.baseline_briefly(BaselineState()) == "baseline: off"
