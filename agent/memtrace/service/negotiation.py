"""Which form of an answer a client wants, by its request's headers (RFC 9110, 12.5). Strangers'
headers: what makes no sense counts as not said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

_MOST_PARTS = 64
_OPENMETRICS, _TEXT = "application/openmetrics-text", "text/plain"


def wants_openmetrics(accept: str) -> bool:
    """Tell whether the header Accept prefers OpenMetrics 1.0 to Prometheus' text."""
    best = {_OPENMETRICS: 0.0, _TEXT: 0.0}
    for kind, settings in _parts(accept):
        if kind in best and settings.get("version", "1.0.0") in ("1.0.0", "0.0.4"):
            best[kind] = max(best[kind], _quality(settings))
    return best[_OPENMETRICS] > 0 and best[_OPENMETRICS] >= best[_TEXT]


def wants_gzip(encodings: str) -> bool:
    """Tell whether the header Accept-Encoding allows gzip."""
    return any(name == "gzip" and _quality(settings) > 0 for name, settings in _parts(encodings))


def _parts(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    for part in header.split(",")[:_MOST_PARTS]:
        name, *settings = part.split(";")
        pairs = (each.partition("=") for each in settings)
        yield name.strip().lower(), {key.strip().lower(): value.strip() for key, _, value in pairs}


def _quality(settings: dict[str, str]) -> float:
    try:
        quality = float(settings.get("q", "1"))
    except ValueError:
        return 0.0
    return quality if math.isfinite(quality) else 0.0
