"""Kills for want of memory on other kernels with cgroup v2: every kind told apart and recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.vm.harness import run_guest
from tests.vm.kernels import GuestKernel

SCRIPT = Path(__file__).parent / "oom_kills.py"
SCHEMA = Path(__file__).parents[2] / "docs" / "oom.schema.json"
SECONDS = 240

GUESTS: dict[GuestKernel, dict[str, Any]] = {}


@pytest.fixture
def guest(newer_guest_kernel: GuestKernel) -> dict[str, Any]:
    """One boot per kernel: checks, and the records that memtrace made."""
    if newer_guest_kernel not in GUESTS:
        result = run_guest(
            newer_guest_kernel, SCRIPT, disk_megabytes=64, memory_megabytes=640, timeout=SECONDS
        )
        print(result.console)
        GUESTS[newer_guest_kernel] = result.json
    return GUESTS[newer_guest_kernel]


@pytest.mark.parametrize(
    "subject",
    [
        "older than memtrace",
        "own limit",
        "limit above",
        "group",
        "cgroup.kill",
        "plain kills",
        "machine",
        "as many as the kernel counts",
        "exit",
    ],
)
def test_each_kill_is_recorded_as_what_it_was(guest: dict[str, Any], subject: str) -> None:
    """Kind, victims, cgroup and limit of each kill, and no record where there was none."""
    check = guest["checks"][subject]
    assert check["got"] == check["expected"]


def test_every_record_is_of_the_schema(guest: dict[str, Any]) -> None:
    """On this kernel, too."""
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    for record in guest["records"]:
        validator.validate(record)


def test_composition_at_the_kill_adds_up(guest: dict[str, Any]) -> None:
    """The kernel's own statistics of the cgroup, up to what a CPU holds in stock."""
    record = next(each for each in guest["records"] if each["kill"] == "memcg")
    composed = record["composition"]
    assert composed["source"] == "kernel"
    assert abs(composed["unexplained_bytes"]) <= 2 * 64 * 4096
    assert composed["anon_bytes"] > record["oom_cgroup"]["limit"] / 2
