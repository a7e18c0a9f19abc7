"""Lines of JSON back to Samples; the form is in encoding.py. Everything is checked: who wrote
the lines is not known. Fields are found by the names that the recording gives them: those
unknown here are left out, those it lacks have their default.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from memtrace.samples import CgroupSample, Sample
from memtrace.store.errors import StoreError
from memtrace.store.layout import (
    KEYED,
    Field,
    Flat,
    Names,
    Record,
    Rows,
    Scalar,
    Shape,
    head,
    keyed,
)

MOST_CGROUPS = 1 << 16
MOST_ROWS = 1 << 12
LONGEST_TEXT = 1 << 16
LARGEST_NUMBER = 1 << 64
LATEST_TIME = 1 << 37  # the year 6325: later ones are no dates everywhere

Read = Callable[[Any], Any]
Patch = Callable[[Any, Any], Any]


class Malformed(Exception):
    """What was read is no Sample; the message says where it stopped making sense."""


class Decoder:
    """Makes one Sample after another from their lines. `names`: the fields as recorded."""

    def __init__(self, names: Names) -> None:
        """Raise StoreError when these fields cannot be understood."""
        readers = _Readers(names)
        self._head, self._cgroup = readers.patch(head()), readers.patch(keyed())
        self._last: Sample | None = None
        self._cgroups: dict[int, CgroupSample] = {}

    def decode(self, lines: Iterable[bytes]) -> Sample:
        """Return the next Sample. Raises StoreError; it is of no use after that."""
        try:
            return self._decode(lines)
        except (Malformed, ValueError, TypeError, RecursionError) as error:
            raise StoreError(f"the recording is damaged: {error}") from error

    def _decode(self, lines: Iterable[bytes]) -> Sample:
        reading = iter(lines)
        order, change = _pair(_parsed(next(reading, b"")))
        if change is not None:
            top = self._head(self._last, change)
        elif self._last is not None:
            top = head().values(self._last)
        else:
            raise Malformed("its first sample is missing")
        cgroups = self._patched(reading)
        if order is not None or cgroups.keys() != self._cgroups.keys():
            keys = _merged(list(self._cgroups), _pair(order), _whole_number, MOST_CGROUPS)
            cgroups = _ordered(cgroups, keys)
        self._cgroups = cgroups
        fields = dict(zip([field.name for field in head().fields], top, strict=True))
        fields[KEYED] = tuple(cgroups.values())
        made = Sample(**fields)
        _check(made, self._last)
        self._last = made
        return made

    def _patched(self, lines: Iterable[bytes]) -> dict[int, CgroupSample]:
        cgroups = dict(self._cgroups)
        for line in lines:
            key, change = _pair(_parsed(line))
            made = self._cgroup(cgroups.get(_whole_number(key)), change)
            if made is None or made.cgroup_id != key:
                raise Malformed("a cgroup has another's number")
            cgroups[key] = made
        return cgroups


def _ordered(cgroups: dict[int, CgroupSample], keys: list[int]) -> dict[int, CgroupSample]:
    found = {key: cgroups[key] for key in keys if key in cgroups}
    if len(found) != len(keys):
        raise Malformed("a cgroup is missing or twice")
    return found


def _check(sample: Sample, before: Sample | None) -> None:
    """Raise Malformed at what the types allow and no reader of Samples expects."""
    if not 0 <= sample.time <= LATEST_TIME:
        raise Malformed(f"{sample.time} is no time")
    if before is not None and sample.monotonic < before.monotonic:
        raise Malformed("its clock goes backwards")
    if before is None or sample.cgroups is not before.cgroups:
        _check_tree({each.cgroup_id: each.parent_id for each in sample.cgroups})


def _check_tree(parents: dict[int, int | None]) -> None:
    """Raise Malformed when a cgroup is below itself."""
    safe: set[int | None] = {None}
    for key, above in parents.items():
        if above == key:
            continue
        way = set()
        at: int | None = key
        while at not in safe and at in parents:
            if at in way:
                raise Malformed("a cgroup is below itself")
            way.add(at)
            at = parents[at]
        safe |= way


class _Readers:
    """What reads each shape, for one recording's names of fields."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def read(self, shape: Shape) -> Read:
        """Return what makes a value from all of it."""
        if isinstance(shape, Scalar):
            made = _SCALARS[shape.kind]
        elif isinstance(shape, Flat):
            made = _flat(self.read(shape.item), shape.length)
        elif isinstance(shape, Rows):
            made = _all_rows(self.read(shape.item))
        elif isinstance(shape, Record):
            made = self._record(shape)
        else:
            made = _table(self.read(shape.item))
        return _optional(made) if shape.optional else made

    def patch(self, shape: Shape) -> Patch:
        """Return what makes a value from the one before and a change."""
        if isinstance(shape, Record):
            return _optional_patch(self._patch_record(shape), self.read(shape))
        read = self.read(shape.item if isinstance(shape, Rows) else shape)
        if not isinstance(shape, Rows):
            return lambda before, change: read(change)

        def patch(before: Any, change: Any) -> Any:
            if change is None and shape.optional:
                return None
            return tuple(_merged(before or (), _pair(change), read, MOST_ROWS))

        return patch

    def _places(self, record: Record) -> list[int | None]:
        """Return where each recorded field belongs. Raises StoreError."""
        known = {field.name: place for place, field in enumerate(record.fields)}
        recorded = self._names.get(record.name)
        if not isinstance(recorded, list) or len(recorded) > MOST_ROWS:
            raise StoreError(f"the recording does not say what a {record.name} is.")
        return [known.get(name) if isinstance(name, str) else None for name in recorded]

    def _record(self, record: Record) -> Read:
        places = self._places(record)
        readers = [_leave if p is None else self.read(record.fields[p].shape) for p in places]
        template = _defaults(record.fields, places)
        straight = places == list(range(len(record.fields)))

        def read(data: Any) -> Any:
            if not isinstance(data, list) or len(data) != len(places):
                _refuse(data, record.name)
            if straight:
                return record.make(*[r(each) for r, each in zip(readers, data, strict=True)])
            values = template()
            for place, reader, each in zip(places, readers, data, strict=True):
                if place is not None:
                    values[place] = reader(each)
            return record.make(*values)

        return read

    def _patch_record(self, record: Record) -> Patch:
        places = self._places(record)
        patches = [_leave if p is None else self.patch(record.fields[p].shape) for p in places]

        def patch(before: Any, data: Any) -> Any:
            if not isinstance(data, list) or len(data) % 2 or len(data) > 2 * len(places):
                _refuse(data, record.name)
            values = list(record.values(before))
            for number, change in zip(data[::2], data[1::2], strict=True):
                if not isinstance(number, int) or not 0 <= number < len(places):
                    _refuse(number, record.name)
                place = places[number]
                if place is not None:
                    values[place] = patches[number](values[place], change)
            return record.make(*values)

        return patch


def _optional_patch(patch: Patch, read: Read) -> Patch:
    """Return what reads [0, all of it] and [1, what changed]."""

    def patched(before: Any, change: Any) -> Any:
        partly, data = _pair(change)
        if partly == 0:
            return read(data)
        return _refuse(change, "change") if before is None else patch(before, data)

    return patched


def _defaults(fields: Sequence[Field], places: Sequence[int | None]) -> Callable[[], list[Any]]:
    """Return what makes the values a recording may lack. Raises StoreError if it lacks others."""
    have = set(places)
    lacking = [f.name for n, f in enumerate(fields) if n not in have and f.default is None]
    if lacking:
        raise StoreError(f"the recording has no {lacking[0]}: this memtrace cannot read it.")
    makers = [None if n in have else field.default for n, field in enumerate(fields)]
    return lambda: [None if make is None else make() for make in makers]


def _leave(*_data: Any) -> None:
    """Read nothing: a field of a newer memtrace."""


def _optional(read: Read) -> Read:
    return lambda data: None if data is None else read(data)


def _flat(read: Read, length: int | None) -> Read:
    def flat(data: Any) -> tuple[Any, ...]:
        if not isinstance(data, list) or len(data) > MOST_ROWS:
            _refuse(data, "list")
        if length is not None and len(data) != length:
            raise Malformed(f"a list has {len(data)} instead of {length} entries")
        return tuple([read(each) for each in data])

    return flat


def _all_rows(read: Read) -> Read:
    return _flat(read, None)


def _table(read: Read) -> Read:
    def table(data: Any) -> dict[str, Any]:
        if not isinstance(data, dict) or len(data) > MOST_ROWS:
            _refuse(data, "table")
        return {_text(key): read(each) for key, each in data.items()}

    return table


def _merged(before: Sequence[Any], change: tuple[Any, Any], read: Read, most: int) -> list[Any]:
    """Return rows made of runs of those before and of new ones."""
    runs, new = change
    if not isinstance(runs, list) or not isinstance(new, list) or len(runs) % 3:
        _refuse(change, "rows")
    rows: list[Any] = []
    taken = 0
    for start, count, add in zip(runs[::3], runs[1::3], runs[2::3], strict=True):
        for number in (start, count, add):
            if not isinstance(number, int) or not 0 <= number <= most:
                _refuse(number, "row")
        copied = before[start : start + count]
        added = new[taken : taken + add]
        if len(copied) != count or len(added) != add or len(rows) + count + add > most:
            raise Malformed("rows are missing")
        rows += copied
        rows += [read(each) for each in added]
        taken += add
    return rows


def _pair(data: Any) -> tuple[Any, Any]:
    if not isinstance(data, list) or len(data) != 2:
        _refuse(data, "pair")
    return data[0], data[1]


def _whole_number(data: Any) -> int:
    if type(data) is not int or not -LARGEST_NUMBER < data < LARGEST_NUMBER:
        _refuse(data, "whole number")
    return data


def _number(data: Any) -> float:
    if type(data) not in (int, float) or not -LARGEST_NUMBER < data < LARGEST_NUMBER:  # nan, inf
        _refuse(data, "number")
    return data  # type: ignore[no-any-return]


def _text(data: Any) -> str:
    if not isinstance(data, str) or len(data) > LONGEST_TEXT:
        _refuse(data, "text")
    return data


def _truth(data: Any) -> bool:
    if not isinstance(data, bool):
        _refuse(data, "truth value")
    return data


_SCALARS: dict[type, Read] = {int: _whole_number, float: _number, str: _text, bool: _truth}


def _refuse(data: Any, what: str) -> NoReturn:
    raise Malformed(f"a {type(data).__name__} stands where a {what} belongs")


def _parsed(line: bytes) -> Any:
    return json.loads(line)
