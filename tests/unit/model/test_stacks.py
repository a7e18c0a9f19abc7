"""Sampled stacks of cgroups put together."""

from __future__ import annotations

from memtrace.model.stacks import joined
from memtrace.samples import StackRow


def row(amount: int) -> StackRow:
    """One stack."""
    return StackRow(7, 1, "app", "write", "main.f", ("main.f",), amount, 1)


def test_the_largest_are_listed_and_the_rest_adds_up() -> None:
    """Of 30 rows of two cgroups."""
    below = joined([row(n) for n in range(1, 30)], [])
    above = joined([row(1000)], [below, None])
    assert above is not None
    assert [each.bytes for each in above.rows] == [1000, *range(29, 10, -1)]
    assert above.other_bytes == sum(range(1, 11))


def test_unwatched_is_unknown() -> None:
    """Not an empty list: that is nothing sampled."""
    assert joined(None, [None]) is None
    nothing = joined((), [None])
    assert nothing is not None
    assert nothing.rows == ()
