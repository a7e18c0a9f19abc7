"""The parsers of prometheus_client, without its package: that needs TLS in http.client.

memtrace's listener loads http.client without TLS, for its memory; in one process with its tests
nobody else gets it any more.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

_PACKAGE = "prometheus_client"


def _parser(module: str) -> Callable[[str], Iterable[Any]]:
    if _PACKAGE not in sys.modules:
        spec = importlib.util.find_spec(_PACKAGE)
        assert spec is not None
        package = ModuleType(_PACKAGE)
        package.__path__ = list(spec.submodule_search_locations or ())
        sys.modules[_PACKAGE] = package
    parse: Callable[[str], Iterable[Any]] = importlib.import_module(
        f"{_PACKAGE}.{module}"
    ).text_string_to_metric_families
    return parse


parse_text = _parser("parser")
parse_openmetrics = _parser("openmetrics.parser")
