"""Samples to lines of JSON: of each only what differs from the sample before.

    [order, head]           order of the cgroups, what is not stored by cgroup
    [cgroup id, change]     for each cgroup that changed, one line

The change of a record is [0, all its values] or [1, [number of a field, its change, ...]];
that of rows is [runs, new rows], runs being [start, count, new, ...]: copy `count` rows
from `start` of the rows before, then take `new` of the new ones; null: it is None now.
Any other value is written whole. Unchanged is not written, and no change at all is null.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from memtrace.samples import Sample
from memtrace.store.layout import Record, Rows, Shape, Table, head, keyed

_SAME = object()
_dump = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def lines(now: Sample, before: Sample | None) -> Iterator[str]:
    """Yield the lines that make `now` out of `before`, or out of nothing."""
    known = {} if before is None else {c.cgroup_id: c for c in before.cgroups}
    order = _order(
        [c.cgroup_id for c in now.cgroups],
        [] if before is None else [c.cgroup_id for c in before.cgroups],
    )
    of_head, of_cgroup = _changes()
    top = of_head(now, before)
    yield _dump([None if order is _SAME else order, None if top is _SAME else top])
    for cgroup in now.cgroups:
        earlier = known.get(cgroup.cgroup_id)
        if earlier is not cgroup and (changed := of_cgroup(cgroup, earlier)) is not _SAME:
            yield _dump([cgroup.cgroup_id, changed])


def _order(now: Sequence[int], before: Sequence[int]) -> Any:
    return _SAME if now == before else _rows(now, before)


Pack = Callable[[Any], Any]
Change = Callable[[Any, Any], Any]


@cache
def _changes() -> tuple[Change, Change]:
    """Return what compares heads, and cgroups."""
    return _change_of_record(head()), _change_of_record(keyed())


def _whole(shape: Shape) -> Pack | None:
    """Return what makes JSON of a value; None where json itself knows how."""
    if isinstance(shape, Rows | Table):
        pack = _whole(shape.item)
        if pack is None:
            return None
        return _packed_rows(pack) if isinstance(shape, Rows) else _packed_table(pack)
    return _packed_record(shape) if isinstance(shape, Record) else None


def _packed_rows(pack: Pack) -> Pack:
    return lambda rows: None if rows is None else [pack(row) for row in rows]


def _packed_table(pack: Pack) -> Pack:
    return lambda table: None if table is None else {key: pack(v) for key, v in table.items()}


def _packed_record(record: Record) -> Pack | None:
    inner = [(n, pack) for n, f in enumerate(record.fields) if (pack := _whole(f.shape))]
    values = record.values
    if not inner:  # a named tuple is an array as it is
        return None if values is tuple else lambda each: None if each is None else values(each)

    def packed(each: Any) -> Any:
        if each is None:
            return None
        found = list(values(each))
        for number, pack in inner:
            found[number] = pack(found[number])
        return found

    return packed


def _change(shape: Shape) -> Change | None:
    """Return what compares a value with the one before; None where `!=` does and json writes it."""
    if isinstance(shape, Record):
        return _change_of_record(shape)
    pack = _whole(shape.item if isinstance(shape, Rows) else shape)
    if isinstance(shape, Rows):
        return _change_of_rows(pack)
    return None if pack is None else _change_of_value(pack)


def _change_of_value(pack: Pack) -> Change:
    return lambda now, before: _SAME if now == before else pack(now)


def _change_of_record(record: Record) -> Change:
    pack, values = _whole(record) or _as_it_is, record.values
    steps = [_change(field.shape) for field in record.fields]
    numbers = range(len(steps))

    def change(now: Any, before: Any) -> Any:
        if now is None or before is None:
            return _SAME if now is before else [0, pack(now)]
        changes: list[Any] = []
        for number, step, new, old in zip(numbers, steps, values(now), values(before), strict=True):
            if new is old:
                continue
            if step is None:
                if new != old:
                    changes += (number, new)
            elif (changed := step(new, old)) is not _SAME:
                changes += (number, changed)
        return [1, changes] if changes else _SAME

    return change


def _as_it_is(value: Any) -> Any:
    return value


def _change_of_rows(pack: Pack | None) -> Change:
    def change(now: Any, before: Any) -> Any:
        if now is None:
            return _SAME if before is None else None
        if now == before:
            return _SAME
        runs, new = _rows(now, before or ())
        return [runs, new if pack is None else [pack(row) for row in new]]

    return change


def _rows(now: Sequence[Any], before: Sequence[Any]) -> list[list[Any]]:
    """Return `now` as runs of `before` and what is new; rows mostly stay where they were.

    A row that moved is found again when it is the same object: as samples are made, it is.
    """
    runs: list[int] = []
    new: list[Any] = []
    places: dict[int, int] | None = None
    expected, start, count, fresh = 0, 0, 0, 0
    for row in now:
        at = expected
        if at >= len(before) or (before[at] is not row and before[at] != row):
            if places is None:
                places = dict(zip(map(id, before), range(len(before)), strict=True))
            at = places.get(id(row), -1)
        if at < 0:
            fresh += 1
            new.append(row)
            expected += 1  # most often the same row with other figures
            continue
        if fresh or at != start + count:
            if count or fresh:
                runs += (start, count, fresh)
            start, count, fresh = at, 0, 0
        count += 1
        expected = at + 1
    return [[*runs, start, count, fresh], new]
