"""Imports without what nobody uses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from memtrace.service.without import without

IMPORTS = "import sys, memtrace.service.logs, memtrace.service.listener; print(sorted(sys.modules))"


def test_it_is_as_if_not_installed() -> None:
    """Inside only."""
    with without("wave"), pytest.raises(ImportError):
        import wave
    import wave

    assert wave.__name__ == "wave"


def test_the_agent_carries_neither_colours_nor_tls() -> None:
    """Which other imports would bring along."""
    command = [sys.executable, "-c", IMPORTS]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "'structlog'" in told
    assert "'ssl'" not in told
    assert "'rich'" not in told
