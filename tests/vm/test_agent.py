"""The agent in a guest whose clock is set and whose memory runs out: it lives, and tells."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import structlog

from tests.vm.guests import Guests, Report
from tests.vm.harness import run_guest
from tests.vm.kernels import KERNELS

HERE = Path(__file__).parent
SCHEMA = HERE.parents[1] / "docs" / "oom.schema.json"
FILES = {
    "/guest/oom_kills.py": HERE / "oom_kills.py",
    "/packages/structlog": Path(structlog.__file__).parent,
}
SECONDS = 420

GUESTS = Guests()


@pytest.fixture
def report() -> Report:
    """One boot, of the newest kernel: nothing here depends on which one it is."""
    return GUESTS.report(
        KERNELS[-1],
        lambda: run_guest(
            KERNELS[-1],
            HERE / "agent_faults.py",
            FILES,
            disk_megabytes=64,
            memory_megabytes=640,
            timeout=SECONDS,
        ),
    )


@pytest.mark.parametrize(
    "subject", ["clock set", "whole machine", "metrics", "agent", "history", "again"]
)
def test_it_lives_and_tells(report: Report, subject: str) -> None:
    """Records of the right moment in the right order, a whole history, and health."""
    assert not report.wrong(subject)


def test_every_record_is_of_the_schema(report: Report) -> None:
    """Also with clocks that were set."""
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    for record in report.said["records"]:
        validator.validate(record)
