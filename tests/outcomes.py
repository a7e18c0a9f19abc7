"""The third state of a test: it could not be tried, and says what was missing.

Not a skip (left out on purpose) and not a failure (tried and wrong). tests/conftest.py
counts and lists these by name.
"""

from __future__ import annotations

from typing import NoReturn

import pytest


class Unavailable(pytest.skip.Exception):  # type: ignore[name-defined, misc]
    """Raised by `unavailable`; pytest sees a skip, the reports see its own name."""


def unavailable(reason: str) -> NoReturn:
    """End the test as neither passed nor failed, e.g. a kernel could not be downloaded."""
    raise Unavailable(f"unavailable: {reason}")
