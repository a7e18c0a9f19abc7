"""`memtrace doctor` drawn from its checks."""

from __future__ import annotations

import json

from memtrace.model.checks import Check
from memtrace.views.doctor import can_start, render_json, render_text

CHECKS = (
    Check("btf", "ok", "/sys/kernel/btf/vmlinux", required=True),
    Check("taskstats", "off", "no CAP_NET_ADMIN", "no peak RSS", "add NET_ADMIN"),
)


def test_lacking_features_come_with_cost_and_remedy() -> None:
    """And the conclusion says that memtrace runs without them."""
    text = render_text(CHECKS)
    assert "costs: no peak RSS" in text
    assert "remedy: add NET_ADMIN" in text
    assert text.endswith("memtrace can start; 1 of 2 features off.\n")
    assert render_text(CHECKS[:1]).endswith("memtrace can start with every feature.\n")


def test_missing_requirement_is_the_conclusion() -> None:
    """One required check that is not ok stops memtrace."""
    checks = (*CHECKS, Check("bpf", "missing", required=True))
    assert not can_start(checks)
    assert "cannot start: bpf is required" in render_text(checks)


def test_json_holds_every_field() -> None:
    """One line; `ok` tells whether memtrace can start."""
    document = json.loads(render_json(CHECKS))
    assert document["ok"] is True
    assert document["checks"][1] == {
        "name": "taskstats",
        "status": "off",
        "detail": "no CAP_NET_ADMIN",
        "costs": "no peak RSS",
        "remedy": "add NET_ADMIN",
        "required": False,
    }


def test_hostile_details_are_escaped_and_wrapped() -> None:
    """Paths in details are names from strangers."""
    text = render_text([Check("x", "missing", "\x1b[2J " + "word " * 40)])
    assert "\x1b" not in text
    assert all(len(line) <= 80 for line in text.splitlines())
