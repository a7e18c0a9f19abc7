"""What a Sample consists of, worked out from the types in samples.py: fields and their shapes.

Nothing here names a field, so samples.py may grow without this room being told. Converts
no values; encoding.py and decoding.py do.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

from memtrace.samples import Sample

KEYED = "cgroups"
"""The field of Sample that is stored by key, one line for each that changed."""

_SCALARS = (int, float, str, bool)
_NONE = type(None)


@dataclasses.dataclass(frozen=True)
class Scalar:
    """A number, a text or a truth value; None where it may be unknown."""

    kind: type
    optional: bool = False


@dataclasses.dataclass(frozen=True)
class Flat:
    """A tuple of scalars, always stored whole. `length`: how many it has, if always as many."""

    item: Scalar
    length: int | None = None
    optional: bool = False


@dataclasses.dataclass(frozen=True)
class Rows:
    """A tuple of records."""

    item: Record
    optional: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """Values by text, always stored whole."""

    item: Shape
    optional: bool = False


class Field(NamedTuple):
    """One field of a record. `default` makes its value where a recording has none."""

    name: str
    shape: Shape
    default: Callable[[], Any] | None


@dataclasses.dataclass(frozen=True)
class Record:
    """A dataclass or a named tuple: `values` takes one apart, `make` puts it together."""

    name: str
    fields: tuple[Field, ...]
    values: Callable[[Any], tuple[Any, ...]]
    make: Callable[..., Any]
    optional: bool = False


Shape: TypeAlias = Scalar | Flat | Rows | Table | Record
Names: TypeAlias = Mapping[str, Sequence[str]]
"""The fields of each record by its name, in the order in which they are written."""


@cache
def record_of(kind: type) -> Record:
    """Return the record that a class of samples.py is. Raises TypeError for other classes."""
    fields = _fields(kind)
    whole = issubclass(kind, tuple)
    return Record(kind.__name__, fields, tuple if whole else _getter(fields), kind)


@cache
def head() -> Record:
    """Return Sample without what is stored by key; what it makes is a plain tuple of values."""
    fields = tuple(field for field in record_of(Sample).fields if field.name != KEYED)
    return Record(Sample.__name__, fields, _getter(fields), lambda *values: values)


@cache
def keyed() -> Record:
    """Return the record of what is stored by key."""
    shape = next(field.shape for field in record_of(Sample).fields if field.name == KEYED)
    if not isinstance(shape, Rows):
        raise TypeError(f"Sample.{KEYED} is no tuple of records")
    return shape.item


def field_names() -> dict[str, list[str]]:
    """Return the fields of every record in a Sample, in the order in which they are written."""
    found: dict[str, list[str]] = {}
    _collect(record_of(Sample), found)
    return {**found, Sample.__name__: [field.name for field in head().fields]}


def _collect(shape: Shape, found: dict[str, list[str]]) -> None:
    if isinstance(shape, Rows | Table):
        _collect(shape.item, found)
    elif isinstance(shape, Record):
        found[shape.name] = [field.name for field in shape.fields]
        for field in shape.fields:
            _collect(field.shape, found)


def _getter(fields: tuple[Field, ...]) -> Callable[[Any], tuple[Any, ...]]:
    names = [field.name for field in fields]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)


def _fields(kind: type) -> tuple[Field, ...]:
    hints = typing.get_type_hints(kind)
    defaults: dict[str, Callable[[], Any] | None]
    if dataclasses.is_dataclass(kind):
        defaults = {field.name: _default(field) for field in dataclasses.fields(kind)}
    elif issubclass(kind, tuple) and hasattr(kind, "_field_defaults"):
        given = {name: _constant(value) for name, value in kind._field_defaults.items()}
        defaults = {name: given.get(name) for name in hints}
    else:
        raise TypeError(f"{kind} cannot be stored")
    return tuple(
        Field(name, _shape(hints[name], default), default) for name, default in defaults.items()
    )


def _default(field: dataclasses.Field[Any]) -> Callable[[], Any] | None:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    return None if field.default is dataclasses.MISSING else _constant(field.default)


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def _shape(hint: Any, default: Callable[[], Any] | None = None) -> Shape:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType) and _NONE in arguments and len(arguments) == 2:
        (kind,) = (each for each in arguments if each is not _NONE)
        return dataclasses.replace(_shape(kind), optional=True)
    if hint in _SCALARS:
        return Scalar(hint)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _many(_shape(arguments[0]), default)
    if origin is dict and arguments[0] is str:
        return Table(_shape(arguments[1]))
    if isinstance(hint, type):
        return record_of(hint)
    raise TypeError(f"{hint} cannot be stored")


def _many(item: Shape, default: Callable[[], Any] | None) -> Shape:
    """Return a tuple's shape; one whose default has entries (one per kind) always has as many."""
    if isinstance(item, Record):
        return Rows(item)
    if isinstance(item, Scalar):
        usual = default() if default is not None else None
        return Flat(item, len(usual) if usual else None)
    raise TypeError(f"a tuple of {item} cannot be stored")
