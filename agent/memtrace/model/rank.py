"""Tables of ledger rows: joining those of children and parent, and finding the largest rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

TOP = 20
Key = TypeVar("Key")
Row = TypeVar("Row")


def join(tables: Sequence[Mapping[Key, Row]], combine: Callable[[Row, Row], Row]) -> dict[Key, Row]:
    """Return a new table with the rows of all, in their order; changes none of them.

    Rows seldom meet, and putting tables together is cheap as long as none do.
    """
    joined: dict[Key, Row] = {}
    for table in tables:
        joined.update(table)
    if len(joined) == sum(map(len, tables)):
        return joined
    return _join_meeting(tables, combine)


def _join_meeting(
    tables: Sequence[Mapping[Key, Row]], combine: Callable[[Row, Row], Row]
) -> dict[Key, Row]:
    """Do the same where a row is in more than one table."""
    joined: dict[Key, Row] = {}
    for table in tables:
        met = {key: combine(joined[key], table[key]) for key in joined.keys() & table.keys()}
        joined.update(table)
        joined.update(met)
    return joined


def largest(rows: Collection[Row], amount: Callable[[Row], int], guess: int) -> list[Row]:
    """Return the TOP rows by amount, largest first; equal ones keep their order.

    `guess` is an amount that many rows may reach; the better it is, the less is sorted.
    """
    if len(rows) > 4 * TOP:
        reached = [row for row in rows if amount(row) >= guess]
        if len(reached) >= TOP:
            rows = reached
    return sorted(rows, key=amount, reverse=True)[:TOP]


def least(top: list[Row], amount: Callable[[Row], int]) -> int:
    """Return what TOP rows reach; 0 where there are fewer."""
    return amount(top[-1]) if len(top) == TOP else 0
