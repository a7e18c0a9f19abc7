"""Counts of kills: by name, kept over restarts, bounded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.collect.oom_totals import FILE, MOST_NAMES, REST, KillTotals, _parse

APP = ("shop", "web", "app", "")


def test_they_go_on_after_a_restart(tmp_path: Path) -> None:
    """The counts by kind of kill, and when and why the latest was."""
    totals = KillTotals(tmp_path)
    totals.add(APP, "memcg", "anon_growth", 2, 5.0)
    totals.add(APP, "pod", "cache_thrash", 1, 6.0)
    totals.save()
    (row,) = KillTotals(tmp_path).rows()
    assert row == (APP, {"memcg": 2, "pod": 1}, 6.0, "pod", "cache_thrash")
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_of_too_many_names_the_oldest_are_one(tmp_path: Path) -> None:
    """No kill is lost from the sum."""
    totals = KillTotals(tmp_path)
    for number in range(MOST_NAMES + 9):
        totals.add(("", f"p{number}", "c", ""), "memcg", "unknown", 1, float(number))
    rows = {row.whose: row for row in totals.rows()}
    assert len(rows) == MOST_NAMES
    assert sum(row.counts["memcg"] for row in rows.values()) == MOST_NAMES + 9
    assert rows[REST].counts["memcg"] == 10
    assert ("", "p0", "c", "") not in rows


def test_a_directory_that_cannot_be_is_a_problem_that_passes(tmp_path: Path) -> None:
    """Said in one sentence, and tried again."""
    place = tmp_path / "state"
    place.write_text("in the way")
    totals = KillTotals(place)
    totals.add(APP, "memcg", "unknown", 1, 1.0)
    totals.save()
    assert "begin anew" in totals.problem
    place.unlink()
    totals.save()
    assert totals.problem == ""
    assert KillTotals(place).rows() == totals.rows()


@pytest.mark.parametrize(
    "row",
    [
        ["", "", "", "", {"memcg": -1}, 0, "", ""],
        ["", "", "", "", {"memcg": True}, 0, "", ""],
        ["", "", "", "", [], 0, "", ""],
        ["", "", "", 5, {}, 0, "", ""],
        ["", "", "", "x" * 300, {}, 0, "", ""],
        ["", "", "", "", {}, "x", "", ""],
        [],
        None,
    ],
)
def test_what_makes_no_sense_is_not_believed(row: object) -> None:
    """As if nothing had been saved."""
    assert _parse(json.dumps({"version": 1, "totals": [row]}).encode()) == {}


@given(st.binary(max_size=200))
def test_any_bytes_are_borne(data: bytes) -> None:
    """A damaged file begins anew."""
    assert _parse(data) == {}
