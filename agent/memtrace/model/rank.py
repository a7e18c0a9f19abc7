"""Tables of ledger rows, largest first: putting those of children and parent together.

Of every table above the cgroups themselves only the largest rows are kept: more than is
shown, so that a row which is large in one place finds its smaller parts in others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest
from itertools import islice
from typing import TypeVar

TOP = 20
KEPT = 40
_STEP = 10  # rows of one table that are looked at together

Key = TypeVar("Key")
Row = TypeVar("Row")
Table = dict[Key, Row]
Amount = Callable[[Row], int]


def ordered(table: Mapping[Key, Row], amount: Amount[Row]) -> Table[Key, Row]:
    """Return the rows by amount, largest first; equal ones keep their order."""
    return dict(sorted(table.items(), key=lambda item: amount(item[1]), reverse=True))


def top(table: Table[Key, Row]) -> list[Row]:
    """Return the rows that are shown of an ordered table."""
    return list(islice(table.values(), TOP))


def join(
    tables: Sequence[Table[Key, Row]], combine: Callable[[Row, Row], Row], amount: Amount[Row]
) -> Table[Key, Row]:
    """Return the KEPT largest rows of ordered tables, ordered; the same row of two is one."""
    met = _met(tables, combine)
    least = _least(tables, amount)
    found = _reaching(tables, met, amount, least)
    if least and len(found) < KEPT:  # several of those that reach it are the same row
        found = _reaching(tables, met, amount, 0)
    return dict(islice(ordered(found, amount).items(), KEPT))


def _met(tables: Sequence[Table[Key, Row]], combine: Callable[[Row, Row], Row]) -> Table[Key, Row]:
    """Return the rows that more than one table has, combined."""
    all_rows: Table[Key, Row] = {}
    for table in tables:
        all_rows.update(table)
    if len(all_rows) == sum(map(len, tables)):
        return {}
    seen: Table[Key, Row] = {}
    met: Table[Key, Row] = {}
    for table in tables:
        for key in seen.keys() & table.keys():
            met[key] = combine(met.get(key, seen[key]), table[key])
        seen.update(table)
    return met


def _least(tables: Sequence[Table[Key, Row]], amount: Amount[Row]) -> int:
    """Return an amount that KEPT rows reach, as large as is easily found; else 0."""
    steps = [next(islice(table.values(), _STEP - 1, None), None) for table in tables]
    reached = nlargest(KEPT // _STEP, (amount(row) for row in steps if row is not None))
    return reached[-1] if len(reached) == KEPT // _STEP else 0


def _reaching(
    tables: Sequence[Table[Key, Row]], met: Table[Key, Row], amount: Amount[Row], least: int
) -> Table[Key, Row]:
    """Return the rows of at least that amount; of those that just reach it no more than needed."""
    found = {key: row for key, row in met.items() if amount(row) >= least}
    for table in tables:
        for key, row in table.items():
            if amount(row) < least or (amount(row) == least and len(found) >= KEPT):
                break
            if key not in met:
                found[key] = row
    return found
