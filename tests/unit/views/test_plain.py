"""The table: aligned, within the width, understandable."""

from __future__ import annotations

from hypothesis import given, settings

from memtrace.model.selection import ordered, rows_of, whole_node
from memtrace.model.shapes import Snapshot
from memtrace.model.snapshot import snapshot
from memtrace.samples import (
    BaselineState,
    DriverRow,
    Feature,
    FileId,
    Identity,
    Ledger,
    Lost,
    Memory,
    Sample,
)
from memtrace.views.plain import Page, render
from tests.unit.model.builders import MIB, added, cgroup, sample
from tests.unit.model.test_properties import samples


def node() -> Sample:
    """A root and one postgres container that wrote one file."""
    wrote = DriverRow(
        FileId(1, 1), "/h", "/data/base/16384", 7, "postgres", "write", "pwrite64", 60 * MIB
    )
    memory = Memory(
        limit_bytes=200 * MIB, usage_bytes=100 * MIB, anon_bytes=40 * MIB, file_bytes=60 * MIB
    )
    ledger = Ledger(added=added(write=60 * MIB), baseline_bytes=0, drivers=(wrote,))
    return Sample(
        0.0,
        0.0,
        "node-1",
        "v2",
        "libbpf",
        (
            cgroup(1, path="/", memory=Memory(file_bytes=70 * MIB)),
            cgroup(2, 1, "/db", identity=Identity("unit", "db"), memory=memory, ledger=ledger),
        ),
        Lost(ring=3, map_full=MIB),
        {"slab": Feature(False, "not built yet"), "oom": Feature(True)},
        BaselineState("done", "", 12.0, 0.8, 1234, 60 * MIB),
    )


def drawn(snap: Snapshot, width: int = 80) -> list[str]:
    rows = ordered(rows_of(snap.containers), "usage")
    return render(snap, Page(rows, whole_node(snap), 2, width)).splitlines()


def test_row_says_who_grew_with_what_and_why() -> None:
    """Name, figures with units, and the cause in words."""
    row = next(line for line in drawn(snapshot(node(), None, None)) if line.startswith("db"))
    assert row.split()[:7] == ["db", "100M", "50%", "40M", "60M", "0B", "-"]
    assert row.endswith("write by postgres -> …/base/16384")


def test_columns_are_aligned() -> None:
    """Figures end where their titles end."""
    lines = drawn(snapshot(node(), node(), 2.0))
    title, row = lines[1], next(line for line in lines if line.startswith("db"))
    for name, value in (("USAGE", "100M"), ("CACHE", "60M"), ("GROWTH", "0B")):
        assert title.index(name) + len(name) == row.rindex(value) + len(value)


def test_footer_names_remainder_losses_baseline_and_features() -> None:
    """What is not attributed, lost, unknown or off is always said."""
    text = "\n".join(drawn(snapshot(node(), None, None)))
    assert "not attributed: 10 MiB of 70 MiB page cache" in text
    assert "lost: 3 ring events, 1.0 MiB without a row of its own (map full)" in text
    assert "baseline: done, 1234 files, 60 MiB, took 0.8 s, 12 s ago" in text
    assert "off: slab: not built yet" in text
    assert "oom" not in text
    assert "engine libbpf" in text
    assert "2 more: use -r ROWS to see them." in text


def test_nothing_lost_is_said_too() -> None:
    """Silence could mean either."""
    assert "lost: nothing" in drawn(snapshot(sample(cgroup(1)), None, None))


def test_single_row_comes_with_its_verdict() -> None:
    """Asked for alone, a container is explained."""
    text = "\n".join(drawn(snapshot(node(), None, None)))
    assert "db: Nothing stands out: 50% of the limit is used." in text


def test_no_rows_is_a_sentence() -> None:
    """A container that went away leaves no empty table."""
    text = render(snapshot(node(), None, None), Page([]))
    assert "No container matches now." in text


@settings(deadline=None, max_examples=40)
@given(samples())
def test_any_sample_gives_printable_lines_within_the_width(now: Sample) -> None:
    """No name, however hostile, moves the cursor or leaves the screen."""
    for line in drawn(snapshot(now, None, None)):
        assert line.isprintable()
        line.encode()
        assert len(line) <= 80 or not line.isascii()
