"""A census as text and as JSON lines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from memtrace.model.shapes import Snapshot
from memtrace.model.snapshot import snapshot
from memtrace.samples import Census, Memory, Slab, SlabCulprit, SlabRow
from memtrace.views import json as snapshots
from memtrace.views.slab import Page, render_json, render_text
from memtrace.views.text import columns
from tests.unit.model.builders import cgroup, sample

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA = json.loads((DOCS / "slab.schema.json").read_text())
SNAPSHOT = json.loads((DOCS / "snapshot.schema.json").read_text())
DENTRY = SlabRow("dentry", 5000, 1_000_000, True, (SlabCulprit(7, "find", "newfstatat", 9),))
KMALLOC = SlabRow("kmalloc-cg-96", 10, 1040, False)
CENSUS = Census(0.01, 0.25, 0.004, 2 << 20, Slab((SlabRow("\x1b[2J", 1, 8, False),)), 12, 3)


def node(mode: str = "v1") -> Snapshot:
    """A node with a container whose slab is known, and one made after the census."""
    slab = Slab((DENTRY, KMALLOC), 4096, 8192)
    held = replace(cgroup(2, 1, "/pg", memory=Memory(kernel_bytes=1_020_000)), slab=slab)
    whole = replace(cgroup(1, path="/"), slab=Slab())
    made = sample(whole, held, cgroup(3, 1, "/new"), mode=mode)
    return snapshot(replace(made, census=CENSUS), None, None)


def text(width: int = 80, caches: int = 20, mode: str = "v1") -> str:
    """Everything as text."""
    now = node(mode)
    return render_text(now, Page(now.containers, 2, caches, True, width))


def test_every_line_of_json_fits_its_schema() -> None:
    """One line a cgroup, the last for what nobody pays for."""
    now = node()
    lines = [json.loads(line) for line in render_json(now, now.containers, None).splitlines()]
    for line in lines:
        jsonschema.validate(line, SCHEMA)
    assert [line["cgroup"] for line in lines] == ["/", "/pg", "/new", None]
    whole, held, young, nobody = lines
    assert held["slab"][0]["culprits"] == [
        {"pid": 7, "comm": "find", "syscall": "newfstatat", "objects": 0, "bytes": 9}
    ]
    assert held["unattributed_bytes"] == 1_020_000 - 1_001_040 - 4096 - 8192
    assert (young["slab"], young["slab_bytes"]) == (None, None)
    assert whole["slab_bytes"] == held["slab_bytes"] == 1_001_040
    assert nobody["slab_bytes"] == 8


def test_rows_bound_the_caches_of_json_and_sums_hold() -> None:
    """What is left out is the other amount."""
    now = node()
    held = json.loads(render_json(now, now.containers, 1).splitlines()[1])
    assert [row["cache"] for row in held["slab"]] == ["dentry"]
    assert held["slab_other_bytes"] == 1040


def test_top_has_the_same_rows() -> None:
    """`slab` of the snapshot, and when the census was."""
    document = json.loads(snapshots.render(node()))
    jsonschema.validate(document, SNAPSHOT)
    assert document["slab_census"]["age_seconds"] == 0.01
    whole, held, young = document["containers"]
    assert held["slab"] == whole["slab"]
    assert [row["objects"] for row in held["slab"]] == [5000, 10]
    assert held["slab_other_bytes"] == 0
    assert young["slab"] is young["slab_other_bytes"] is None


def test_without_a_census_top_says_so() -> None:
    """Null, not an empty list."""
    document = json.loads(snapshots.render(snapshot(sample(cgroup(1)), None, None)))
    assert document["slab_census"] is None
    assert document["containers"][0]["slab"] is None


def test_text_says_what_each_cache_is_and_what_is_left() -> None:
    """In plain words, with the kernel's figure and the remainder beside the sum."""
    page = " ".join(text().split())
    assert "missing" in page
    assert "page tables 4.0 KiB" in page
    assert "not attributed: 6.5 KiB" in page
    assert "came after the census" in page
    assert "2 more containers" in page
    assert "0.25 s, at most 4.0 ms at a time" in page
    assert "12 B belong to cgroups that came or went" in page
    assert "3 slabs changed" in page


def test_on_v2_slab_is_compared_with_slab() -> None:
    """Where the kernel tells it; here it does not."""
    assert "all kernel memory" not in text(mode="v2")


def test_caches_that_are_not_listed_are_counted() -> None:
    """Their bytes are said, so that sums hold."""
    assert "1.0 KiB            in 1 more caches" in text(caches=1)


@pytest.mark.parametrize("width", [1, 60, 80, 200])
def test_no_line_is_longer_than_the_screen(width: int) -> None:
    """From 60 columns on; and no name of a cache moves the cursor."""
    page = text(width)
    assert "\x1b" not in page
    assert all(columns(line) <= max(width, 60) for line in page.splitlines())
