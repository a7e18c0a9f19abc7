"""Metrics as text: Prometheus' own format 0.0.4, or OpenMetrics 1.0.

Written by hand: prometheus_client's writers took 18 us a sample, 0.4 s for 500 containers
(docs/overhead.md). A test reads what comes out with its parsers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from memtrace.model.exported import Family, Row, Value
from memtrace.model.metrics import WHOSE, Metric
from memtrace.model.series import Labels

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def render(families: Iterable[Family], content_type: str) -> bytes:
    """Return all of it. `content_type`: TEXT or OPENMETRICS."""
    modern = content_type == OPENMETRICS
    known: dict[Labels, str] = {}
    lines: list[str] = []
    for family in families:
        if family.rows:
            lines += _head(family.metric, modern)
            lines += _values(family.metric, family.rows, known)
    if modern:
        lines.append("# EOF\n")
    return "".join(lines).encode()


def _head(metric: Metric, modern: bool) -> Iterator[str]:
    name = metric.name if modern else metric.full_name
    kind = "gauge" if metric.kind == "info" and not modern else metric.kind
    yield f"# HELP {name} {metric.help.translate(_ESCAPES)}\n"
    yield f"# TYPE {name} {kind}\n"
    if modern and metric.unit:
        yield f"# UNIT {name} {metric.unit}\n"


def _values(metric: Metric, rows: Sequence[Row], known: dict[Labels, str]) -> Iterator[str]:
    """Yield a line for each; `known` has the text of labels that were met before."""
    name = metric.full_name
    for whose, labels, value, suffix in rows:
        text = "" if whose is None else known.get(whose) or known.setdefault(whose, _whose(whose))
        if labels:
            names = ("le",) if suffix else metric.labels
            own = _pairs(names, labels)
            text = f"{text},{own}" if text else own
        braces = f"{{{text}}}" if text else ""
        yield f"{name}{suffix}{braces} {_number(value)}\n"


def _whose(labels: Labels) -> str:
    return _pairs(WHOSE, labels)


def _pairs(names: Iterable[str], values: Iterable[str]) -> str:
    pairs = zip(names, values, strict=True)
    return ",".join([f'{name}="{value.translate(_ESCAPES)}"' for name, value in pairs])


def _number(value: Value) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(value)
