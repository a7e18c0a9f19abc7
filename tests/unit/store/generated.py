"""Samples of any content that their types allow. New fields come by themselves.

From a seed and not by hypothesis' own strategies, which need seconds for one sample.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from memtrace.samples import CgroupSample, Sample
from memtrace.store.layout import Flat, Record, Rows, Scalar, Shape, Table, head, keyed

TEXTS = (
    "",
    "a",
    "/a/b",
    "\udcff\n\x1b",
    "שלום\u202e",
    "x" * 300,
    "\0",
    "\U0001f469",
    "removed",
    "v1",
)
# Few values, so that rows of one sample are found again in the next.
_SCALARS: dict[type, Callable[[Random], Any]] = {
    int: lambda random: random.choice((0, 1, 2, 3, 4096, 1 << 40, (1 << 64) - 1, -1, -(1 << 63))),
    float: lambda random: random.choice((0.0, 1.5, 0.1, 1e18, -2.25, 3)),
    str: lambda random: random.choice(TEXTS),
    bool: lambda random: random.random() < 0.5,
}


def value(shape: Shape, random: Random) -> Any:
    """Any value of a shape."""
    if shape.optional and random.random() < 0.3:
        return None
    if isinstance(shape, Scalar):
        return _SCALARS[shape.kind](random)
    if isinstance(shape, Flat):
        length = random.randrange(4) if shape.length is None else shape.length
        return tuple(value(shape.item, random) for _ in range(length))
    if isinstance(shape, Rows):
        return tuple(value(shape.item, random) for _ in range(random.randrange(5)))
    if isinstance(shape, Table):
        return {text: value(shape.item, random) for text in random.sample(TEXTS, 2)}
    return shape.make(*_fields(shape, random))


def _fields(record: Record, random: Random) -> list[Any]:
    return [value(field.shape, random) for field in record.fields]


def sequence(seed: int, length: int = 4) -> list[Sample]:
    """Samples one after another, each made of the one before, clocks going on."""
    random = Random(seed)
    names = [field.name for field in head().fields]
    made: list[Sample] = []
    cgroups: dict[int, CgroupSample] = {}
    for number in range(length):
        cgroups = _next(cgroups, random)
        fields = dict(zip(names, _fields(head(), random), strict=True))
        fields.update(time=1e9 + random.random(), monotonic=number / 2)
        made.append(Sample(**fields, cgroups=tuple(cgroups.values())))
    return made


def _next(before: dict[int, CgroupSample], random: Random) -> dict[int, CgroupSample]:
    """Some of those before, as they were or with another part, and some new; in any order."""
    kept = {}
    for key, cgroup in random.sample(list(before.items()), len(before)):
        fate = random.choice(("gone", "same", "same", "changed", "changed"))
        if fate != "gone":
            kept[key] = cgroup if fate == "same" else _changed(cgroup, random)
    for number in random.sample(range(1, 9), 3):
        parent = random.choice((None, *range(number)))  # no circles
        kept[number] = keyed().make(number, parent, *_fields(keyed(), random)[2:])
    return kept


def _changed(cgroup: CgroupSample, random: Random) -> CgroupSample:
    """The same but for one part, or for one row of one of its lists."""
    parts = list(keyed().values(cgroup))
    place = random.randrange(2, len(parts))
    shape = keyed().fields[place].shape
    if isinstance(shape, Record) and parts[place] is not None:
        parts[place] = _other_part(shape, parts[place], random)
    else:
        parts[place] = value(shape, random)
    made: CgroupSample = keyed().make(*parts)
    return made


def _other_part(record: Record, before: Any, random: Random) -> Any:
    parts = list(record.values(before))
    place = random.randrange(len(parts))
    shape = record.fields[place].shape
    if isinstance(shape, Rows) and parts[place]:
        rows = list(parts[place])
        random.shuffle(rows)
        rows[random.randrange(len(rows))] = value(shape.item, random)
        parts[place] = tuple(rows)
    else:
        parts[place] = value(shape, random)
    return record.make(*parts)
