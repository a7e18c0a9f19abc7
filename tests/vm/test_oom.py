"""Kills for want of memory on other kernels with cgroup v2: every kind told apart and recorded."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.vm.guests import Guests, Report
from tests.vm.harness import run_guest
from tests.vm.kernels import GuestKernel

SCRIPT = Path(__file__).parent / "oom_kills.py"
SCHEMA = Path(__file__).parents[2] / "docs" / "oom.schema.json"
SECONDS = 240

GUESTS = Guests()


@pytest.fixture
def report(newer_guest_kernel: GuestKernel) -> Report:
    """One boot per kernel: checks, and the records that memtrace made."""
    return GUESTS.report(
        newer_guest_kernel,
        lambda: run_guest(
            newer_guest_kernel, SCRIPT, disk_megabytes=64, memory_megabytes=640, timeout=SECONDS
        ),
    )


def refused(report: Report) -> bool:
    """Whether this kernel cannot tell kills."""
    return not report.column.features["oom"]["enabled"]


@pytest.mark.parametrize(
    "subject",
    [
        "older than memtrace",
        "own limit",
        "limit above",
        "group kill",
        "cgroup.kill",
        "plain kills",
        "whole machine",
        "as many as the kernel counts",
        "oom watch",
    ],
)
def test_each_kill_is_recorded_as_what_it_was(report: Report, subject: str) -> None:
    """Kind, victims, cgroup and limit of each kill, and no record where there was none."""
    assert not report.wrong("refused" if refused(report) else subject)


def test_every_record_is_of_the_schema(report: Report) -> None:
    """On this kernel, too."""
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    for record in report.said["records"]:
        validator.validate(record)


def test_composition_at_the_kill_adds_up(report: Report) -> None:
    """The kernel's own statistics of the cgroup, up to what a CPU holds in stock."""
    if refused(report):
        return
    record = next(each for each in report.said["records"] if each["kill"] == "memcg")
    composed = record["composition"]
    assert composed["source"] == "kernel"
    assert abs(composed["unexplained_bytes"]) <= 2 * 64 * 4096
    assert composed["anon_bytes"] > record["oom_cgroup"]["limit"] / 2
