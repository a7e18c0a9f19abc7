"""The largest of a table, found without looking at all of it each time. Exact; knows no files.

A table of thousands took 3 to 7 ms each time, and a few of its rows change between two looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key")
Row = TypeVar("Row")

MANY_TOUCHED = 2048
"""From here on all are looked at again, and it is not noted which."""


class Leaders(Generic[Key, Row]):
    """Keeps some more than are asked for, and the most that any other row has.

    Who changes a row's amount says so: `touch`, or `forget` after a change of many.
    """

    def __init__(self, shown: int, kept: int, amount: Callable[[Row], int]) -> None:
        self._shown = shown
        self._most = kept
        self._amount = amount
        self._kept: list[Key] = []
        self._floor: float = 0  # what rows have at most that are neither kept nor touched
        self._touched: set[Key] | None = None  # None: any of them may have changed

    def touch(self, key: Key) -> None:
        """The row is new, or its amount changed."""
        if self._touched is None:
            return
        self._touched.add(key)
        if len(self._touched) > MANY_TOUCHED:
            self._touched = None

    def forget(self) -> None:
        """Any row may have changed."""
        self._touched = None

    def of(self, table: Mapping[Key, Row]) -> list[Key]:
        """The keys of the largest; of equal ones those found first, then those that came first."""
        ranked = self._among_few(table)
        if ranked is None:
            ranked = self._rank(table, list(table))
            self._floor = float("-inf")
        if len(ranked) > self._most:
            self._floor = max(self._floor, self._amount(table[ranked[self._most]]))
        self._kept = ranked[: self._most]
        self._touched = set()
        return ranked[: self._shown]

    def _among_few(self, table: Mapping[Key, Row]) -> list[Key] | None:
        """All that can lead, ranked; None: another one may have more."""
        if self._touched is None:
            return None
        few = dict.fromkeys(self._kept)
        few.update(dict.fromkeys(self._touched))
        ranked = self._rank(table, [key for key in few if key in table])
        enough = len(ranked) >= self._shown
        if enough and self._amount(table[ranked[self._shown - 1]]) >= self._floor:
            return ranked
        return None

    def _rank(self, table: Mapping[Key, Row], keys: list[Key]) -> list[Key]:
        amount = self._amount
        return sorted(keys, key=lambda key: amount(table[key]), reverse=True)
