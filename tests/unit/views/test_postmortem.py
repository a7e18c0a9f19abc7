"""A record as JSON and as a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.kills import CGROUP_KILL, COUNTERS, MACHINE, OomEvent
from memtrace.model.oom_history import background
from memtrace.model.postmortem import explain
from memtrace.samples import Identity
from memtrace.views import oom_json, postmortem
from tests.unit.model.kill_events import NAMES, WEB, event, levels, past, task

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "oom.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
ID = "20261118T110640.250Z-42"
LATE = event(source=COUNTERS, victims=(), trigger=None, memory=None, levels=(), cgroup_id=None)
KILLS = [
    event(),
    event(memory=None, levels=()),
    event(cgroup_id=MACHINE, memory=None),
    event(source=CGROUP_KILL, victims=(task(1), task(2)), kills=2),
    LATE,
]


def record(kill: OomEvent, count: int = 3, names: Any = None) -> dict[str, Any]:
    """The document, as it comes back from the disk."""
    made = explain(kill, background(past(count)), NAMES if names is None else names, "n1", "b1")
    document: dict[str, Any] = json.loads(oom_json.line(oom_json.document(made, ID)))
    return document


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_every_record_is_of_the_schema(kill: OomEvent, count: int) -> None:
    """Whatever is known or not."""
    VALIDATOR.validate(record(kill, count))


def test_the_contracts_keys_are_there() -> None:
    """Names that programs rely on."""
    document = record(event())
    assert document["victim"] == document["victims"][0]
    assert (document["victim"]["container"], document["victim"]["namespace"]) == ("web", "shop")
    assert document["oom_cgroup"]["path"] == "/pod/web"
    assert document["advice"] == document["verdict"]["advice"]


def test_a_report_reads_from_the_verdict_to_the_gaps() -> None:
    """Every part in its place, each line within the width."""
    text = postmortem.render(record(event()))
    parts = ["VERDICT", "WHAT THE MEMORY WAS at the kill", "WHO", "THE TIME BEFORE", "CAUSES"]
    parts += ["FILES", "ADVICE", "NOT KNOWN"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert text.startswith("shop/web-0/web: killed at its memory limit\n")
    assert max(map(len, text.splitlines())) <= postmortem.WIDTH
    assert "write by pg -> /f1" in text
    assert "#" * 56 in text  # 60 of 64 MiB


def test_a_part_without_content_is_left_out() -> None:
    """A kill that only counters tell of has no time line, no bar and no advice."""
    text = postmortem.render(record(LATE))
    assert "seen late" in text
    for absent in ("THE TIME BEFORE", "ADVICE", "CAUSES", "WHAT THE MEMORY WAS", "[..."):
        assert absent not in text


def test_names_cannot_move_the_cursor() -> None:
    """A container, a process and a cgroup that call themselves escape sequences."""
    evil = "\x1b[2J\x07\n\u202e"
    names = {**NAMES, WEB: Identity("container", evil, None, evil, evil, evil, evil)}
    hostile = task()
    kill = event(victims=(hostile.__class__(1, 1, 1, 0, evil, 0, WEB),), levels=levels())
    document = record(kill, names=names)
    for text in (postmortem.render(document), postmortem.summary(document)):
        assert all(char.isprintable() or char == "\n" for char in text)
    assert "\n" not in postmortem.summary(document)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_a_record_of_odd_parts_is_drawn_nonetheless(odd: Any) -> None:
    """Another version's record: what makes no sense is a dash."""
    document = dict.fromkeys(record(event()), odd)
    postmortem.render(document)
    postmortem.summary(document)
