"""/metrics as text, read with the parsers of prometheus_client."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.model import metrics
from memtrace.model.exported import Family, Own, Row, families
from memtrace.model.series import Labels, clean
from memtrace.model.snapshot import snapshot
from memtrace.samples import GoCollected, Identity, Ledger, Memory
from memtrace.views.prometheus import OPENMETRICS, TEXT, render
from tests.metric_parsers import parse_openmetrics, parse_text
from tests.unit.model.builders import MIB, added, cgroup, sample

Parser = Callable[[str], Iterable[Any]]
FORMS = [(TEXT, parse_text), (OPENMETRICS, parse_openmetrics)]


def read(made: list[Family], content_type: str, parser: Parser) -> dict[tuple[str, Any], float]:
    """Every sample by its name and labels; each is there once."""
    found = [
        ((each.name, frozenset(each.labels.items())), each.value)
        for family in parser(render(made, content_type).decode())
        for each in family.samples
    ]
    assert len(found) == len(dict(found))
    return dict(found)


def whole() -> list[Family]:
    """Some of everything."""
    made = cgroup(
        3,
        path="/app",
        identity=Identity("container", "app", None, "shop", "web", "app"),
        memory=Memory(usage_bytes=5 * MIB, limit_bytes=8 * MIB, file_bytes=MIB),
        ledger=Ledger(added=added(read=MIB), baseline_bytes=0),
    )
    made = replace(made, collected=GoCollected((1,) * 11, 0.25, 6, 0.5))
    own = Own(version="1", samples=3, resident_bytes=1 << 40, map_fill={"ledger": 0.25})
    return families(snapshot(sample(made), None, None), (), own, files=1)


@pytest.mark.parametrize(("content_type", "parser"), FORMS)
def test_the_libraries_parsers_read_what_was_meant(content_type: str, parser: Parser) -> None:
    """Every value with its labels, counters as _total, in both forms."""
    made = whole()
    found = read(made, content_type, parser)
    expected = {}
    for family in made:
        for row in family.rows:
            names = ("le",) if row.suffix else family.metric.labels
            labels = dict(zip(names, row.labels, strict=True)) if row.labels else {}
            if row.whose is not None:
                labels |= row.whose._asdict()
            key = (f"{family.metric.full_name}{row.suffix}", frozenset(labels.items()))
            expected[key] = float(row.value)
    assert found == expected
    assert ("memtrace_samples_total", frozenset()) in found


@given(st.lists(st.text(st.characters(), max_size=40), min_size=4, max_size=4))
def test_no_name_breaks_out_of_its_label(names: list[str]) -> None:
    """Quotes, backslashes, line ends, control characters, bytes that are no UTF-8."""
    labels = Labels(*map(clean, names))
    made = [Family(metrics.OF_MEMORY[0], [Row(labels, (), 7)])]
    for content_type, parser in FORMS:
        ((key, value),) = read(made, content_type, parser).items()
        assert dict(key[1]) == labels._asdict()
        assert value == 7


def test_what_has_no_values_is_not_there() -> None:
    """An unknown figure leaves no line at all; OpenMetrics has its end."""
    assert render([Family(metrics.SWAP_USED, [])], TEXT) == b""
    assert render([], OPENMETRICS) == b"# EOF\n"
