"""Go processes as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema

from memtrace.model.go import Bound, own_rows, with_heap
from memtrace.model.go_shapes import GoRow
from memtrace.model.modeler import Modeler
from memtrace.model.shapes import Snapshot
from memtrace.samples import GoCycles, GoHeapFunctions, GoProcess, HeapFunction
from memtrace.views.go import Page, render_json, render_text
from memtrace.views.go_json import go_list
from memtrace.views.json import render
from tests.unit.model.builders import MIB, cgroup, sample
from tests.unit.model.test_go import HEAP

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA = json.loads((DOCS / "go.schema.json").read_text())
SNAPSHOT = json.loads((DOCS / "snapshot.schema.json").read_text())
APP = GoProcess(
    4711,
    1,
    "app",
    "go",
    version="go1.25.5",
    main="example.org/app",
    stripped=True,
    debug="",
    cpu_quota=1.5,
    heap=HEAP,
    gc=GoCycles(3, 1, 0, 0.002, 0.001, 0.5, 0.1, 70 * MIB),
)
EVIL = GoProcess(4712, 1, "e\x1b[2Jvil", "version only", "go1.17 is not observed")


def shown() -> tuple[Snapshot, tuple[GoRow, ...]]:
    """One container with two processes."""
    home = replace(cgroup(7, None, "/app"), go=(APP, EVIL))
    snapshot = Modeler().snapshot(sample(home))
    found = own_rows(home, None, None, Bound(512 * MIB))
    assert found is not None
    return snapshot, found


def test_a_line_has_every_key_of_the_contract() -> None:
    """Figures of one process; those of another that cannot be read are null."""
    snapshot, rows = shown()
    first, second = map(json.loads, render_json(snapshot, rows).splitlines())
    assert first["schema"] == "memtrace.go/1"
    assert first["cgroup"] == "/app"
    assert (first["pid"], first["version"], first["main"]) == (4711, "go1.25.5", "example.org/app")
    assert (first["gogc"], first["gomemlimit_bytes"], first["gomaxprocs"]) == (100, None, 4)
    assert (first["heap_live_bytes"], first["heap_goal_bytes"]) == (80 * MIB, 160 * MIB)
    assert (first["gc_observed_cycles"], first["gc_forced_cycles"], first["age_seconds"]) == (
        3,
        1,
        0.0,
    )
    assert first.keys() == second.keys()
    assert second["heap_live_bytes"] is second["gc_cycles"] is second["age_seconds"] is None
    assert second["remarks"] == ["go1.17 is not observed"]


def test_the_schemas_hold() -> None:
    """Of the lines of `memtrace go`, and of the list in a snapshot."""
    snapshot, rows = shown()
    for line in render_json(snapshot, rows).splitlines():
        jsonschema.validate(json.loads(line), SCHEMA)
    jsonschema.validate(json.loads(render(snapshot)), SNAPSHOT)


def test_a_snapshot_lists_them() -> None:
    """Below their container; null where nobody looked."""
    snapshot, _ = shown()
    found = go_list(snapshot.containers[0].go)
    assert found is not None
    assert [each["pid"] for each in found] == [4711, 4712]
    assert go_list(None) is None


def test_the_table_fits_and_is_harmless() -> None:
    """At any width; control characters of a name are escaped; remarks stand below."""
    snapshot, rows = shown()
    for width in (60, 80, 120, 200):
        text = render_text(snapshot, Page(rows, 3, 2.0, width))
        assert max(map(len, text.splitlines())) <= width
        assert "\x1b" not in text
        assert "go1.17 is not observed" in text
        assert "3 more processes" in text
    assert "80M" in text
    assert "none" in text  # no GOMEMLIMIT


def with_heaps() -> tuple[Snapshot, list[GoRow]]:
    """The same, and who holds the heap of the first, and why that of the second is not known."""
    snapshot, (first, second) = shown()
    held = (
        HeapFunction("main.load <- ma\x1bin.main", ("main.load", "ma\x1bin.main"), 41 * MIB, 41),
        HeapFunction(None, ("",), 1 * MIB, 3),
    )
    heaps = (
        GoHeapFunctions(held, 23 * MIB, "only a part was read"),
        GoHeapFunctions(reason="the program keeps no heap profile " * 5),
    )
    return snapshot, [with_heap(first, heaps[0]), with_heap(second, heaps[1])]


def test_who_holds_a_heap_stands_below_its_process() -> None:
    """Amount and share of each function and of all others, cut to the width; or the reason."""
    snapshot, rows = with_heaps()
    lines = render_text(snapshot, Page(rows, 0, 2.0, 100)).splitlines()
    assert lines[2] == "         41 MiB   63%  main.load <- ma\\x1bin.main"
    assert lines[3] == "        1.0 MiB    2%  (functions without names)"
    assert lines[4] == "         23 MiB   35%  (all other functions)"
    assert lines[5] == "        heap by function: only a part was read"
    text = render_text(snapshot, Page(rows, 0, 2.0, 60))
    assert max(map(len, text.splitlines())) <= 60
    assert "heap by function: the program keeps no heap profile" in text


def test_an_empty_profile_is_a_sentence() -> None:
    """Not a missing line."""
    snapshot, (first, _) = shown()
    row = with_heap(first, GoHeapFunctions((), 0))
    assert "no allocation was sampled yet" in render_text(snapshot, Page([row]))


def test_who_holds_a_heap_is_in_the_line_of_its_process() -> None:
    """Null with a reason where it is not known, and where nobody asked."""
    snapshot, rows = with_heaps()
    lines = [*render_json(snapshot, rows).splitlines()]
    for line in lines:
        jsonschema.validate(json.loads(line), SCHEMA)
    first, second = map(json.loads, lines)
    assert first["heap_by_function"][1] == {
        "function": None,
        "frames": [""],
        "bytes": MIB,
        "objects": 3,
    }
    assert first["heap_by_function_other_bytes"] == 23 * MIB
    assert second["heap_by_function"] is second["heap_by_function_other_bytes"] is None
    assert second["heap_by_function_reason"].startswith("the program keeps no heap profile")
    unasked = json.loads(render_json(*shown()).splitlines()[0])
    assert unasked["heap_by_function"] is None
    assert unasked["heap_by_function_reason"] == "not asked for: --heap"


def test_no_process_is_a_sentence() -> None:
    """Not an empty table."""
    assert "No Go process" in render_text(shown()[0], Page(()))
