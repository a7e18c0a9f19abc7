"""Tables of ledger rows: joining a child's into its parent's, and finding the largest rows."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

TOP = 20
Key = TypeVar("Key")
Row = TypeVar("Row")


def join(
    left: dict[Key, Row], right: dict[Key, Row], combine: Callable[[Row, Row], Row]
) -> dict[Key, Row]:
    """Return one table with the rows of both; uses up both.

    The smaller goes into the larger, so that a row moves few times on its way to the root,
    and only rows that both have cost more than a dictionary update.
    """
    if len(left) < len(right):
        left, right = right, left
    for key in left.keys() & right.keys():
        right[key] = combine(left[key], right[key])
    left.update(right)
    return left


def largest(rows: Collection[Row], amount: Callable[[Row], int], guess: int) -> list[Row]:
    """Return the TOP rows by amount, largest first; equal ones keep their order.

    `guess` is an amount that many rows may reach; the better it is, the less is sorted.
    """
    if len(rows) > 4 * TOP:
        reached = [row for row in rows if amount(row) >= guess]
        if len(reached) >= TOP:
            rows = reached
    return sorted(rows, key=amount, reverse=True)[:TOP]
