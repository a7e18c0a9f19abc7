"""JSON that runtimes leave on disk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.host.runtimes import documents
from tests.unit.host.trees import JSON


@given(st.binary(max_size=200) | st.just(b"[" * 100_000))
def test_any_bytes_are_an_object_or_none(data: bytes) -> None:
    """Deep nesting and bad encodings included."""
    assert isinstance(documents.parse_object(data), dict | None)


@given(JSON, st.text(max_size=9))
def test_a_part_is_always_an_object(value: object, key: str) -> None:
    """Whatever is there instead counts as nothing."""
    assert isinstance(documents.part({"a": value}, "a"), dict)
    assert documents.part(None, key) == {}


@pytest.mark.parametrize("value", ["", "\x1b[31mred", "a\nb", "x" * 513, "\udc80", 7, None, ["a"]])
def test_odd_text_is_unknown(value: object) -> None:
    """A name cannot carry escape sequences to a terminal, or pages of text."""
    assert documents.text({"key": value}, "key") is None


@pytest.mark.parametrize("value", ["web", "x" * 512, "ümlaut 名"])
def test_text_is_taken_as_it_is(value: str) -> None:
    """Any language."""
    assert documents.text({"key": value}, "key") == value


def test_a_document_of_too_many_parts_is_none() -> None:
    """A few megabytes of empty objects would take a hundred of memory."""
    assert documents.parse_json(b"[" + b"{}," * 150_000 + b"{}]") is None
    assert documents.parse_json(b"[" + b"{}," * 90_000 + b"{}]") is not None
