"""docs/kernels.md says of each kernel what its tests and features came to."""

from __future__ import annotations

from typing import Any

import pytest

from tools.kernels_doc import DOCUMENT, NEAR, ROWS, Cell, Column, cell, load_record, over, render

ROW = next(row for row in ROWS if row.feature == "baseline")
SUBJECT = ROW.subjects[0]


def column(reason: str = "", enabled: bool = True, **changed: Any) -> Column:
    """A kernel where the row's test passed, with some facts changed."""
    return {
        "kernel": "5.10",
        "release": "5.10.0-46",
        "cgroup": "v2",
        "features": {ROW.feature: {"enabled": enabled, "reason": reason}},
        "lacks": {},
        "outcomes": {SUBJECT: "passed"},
    } | changed


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (column("exact: walk"), Cell("exact", "")),
        (column("exact once quiet"), Cell("exact", "once quiet")),
        (column("exact; the other lags"), Cell("exact", "the other lags")),
        (column("partial: some are missing"), Cell("partial", "some are missing")),
        (column("no bpf_loop", enabled=False), Cell("off", "no bpf_loop")),
        (column(lacks={SUBJECT: "not told"}), Cell("off", "not told")),
        (column(outcomes={SUBJECT: "failed"}), Cell("FAILED", "a test of it failed")),
        (column("no bpf_loop", enabled=False, outcomes={}), Cell("-", "")),
    ],
)
def test_a_cell_is_what_ran(found: Column, expected: Cell) -> None:
    """A failed test outweighs everything, and what no test tried is never claimed."""
    assert cell(ROW, found) == expected


def test_what_is_proven_to_a_percent_is_not_called_exact() -> None:
    """The word is the row's; the limits are the kernel's."""
    row = ROW._replace(proven=NEAR)
    assert cell(row, column("exact, as counted")) == Cell(NEAR, "as counted")
    assert cell(row, column("exact")) == Cell(NEAR, "")
    assert cell(row, column("no", enabled=False)) == Cell("off", "no")


def test_reasons_are_notes_and_equal_ones_are_one() -> None:
    """Two kernels with the same reason share its number; older kernels come first."""
    record = {name: column("no", False, kernel=name) for name in ("6.1", "5.10")}
    text = render(record)
    assert f"| {ROW.title} | off [1] | off [1] |" in text
    assert text.index("5.10 (v2)") < text.index("6.1 (v2)")
    assert text.count("\n1. no\n") == 1


def test_the_document_is_what_the_tool_makes() -> None:
    """Nobody wrote it by hand, or changed its form only."""
    assert DOCUMENT.read_text() == render(load_record())


def test_what_one_run_switched_on_another_does_not_switch_off() -> None:
    """A test that watches nothing does not say that watching is impossible."""
    feature = over(column("exact"), column("off until asked for", enabled=False))["features"]
    assert feature[ROW.feature] == {"enabled": True, "reason": "exact"}


def test_what_a_run_did_not_try_stays_for_the_same_release_only() -> None:
    """A second look at one test does not forget the others; a new kernel starts anew."""
    before = column(outcomes={"a": "failed", "b": "passed"})
    again = over(before, column(outcomes={"a": "passed"}))
    assert again["outcomes"] == {"a": "passed", "b": "passed"}
    assert over(before, column(release="5.10.0-47"))["outcomes"] == {SUBJECT: "passed"}
