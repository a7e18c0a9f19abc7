"""Which form of /metrics a client gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.service.negotiation import wants_gzip, wants_openmetrics

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
NEW_PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=0.0.1", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.9", False),
        ("application/openmetrics-text;q=nan", False),
        (PROMETHEUS, True),
        (NEW_PROMETHEUS, True),
    ],
)
def test_openmetrics_is_for_who_prefers_it(accept: str, expected: bool) -> None:
    """By media type, version and quality."""
    assert wants_openmetrics(accept) is expected


@pytest.mark.parametrize(
    ("encodings", "expected"),
    [("", False), ("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("zip", False)],
)
def test_gzip_is_for_who_asks_for_it(encodings: str, expected: bool) -> None:
    """Nobody else gets it."""
    assert wants_gzip(encodings) is expected


@given(st.text())
def test_any_header_is_answered(header: str) -> None:
    """Strangers send anything."""
    wants_gzip(header)
    wants_openmetrics(header)
