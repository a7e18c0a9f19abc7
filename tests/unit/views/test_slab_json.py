"""The list `slab` in JSON: by cache, counted or not, with who had its objects allocated."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from memtrace.model.snapshot import snapshot
from memtrace.samples import (
    CgroupSample,
    Slab,
    SlabCulpritRow,
    SlabCulprits,
    SlabRow,
    SlabWatch,
)
from memtrace.views.json import render
from tests.unit.model.builders import cgroup, sample

NEVER = SlabWatch()


def test_culprits_are_listed_below_their_cache() -> None:
    """pid null: several processes. What there is of a cache takes a census."""
    rows = (
        SlabCulpritRow("dentry", 7, 1, "find", "newfstatat", 1009, 1009 * 200),
        SlabCulpritRow("dentry", 0, 0, "sh", None, 5, 1000),
    )
    one = replace(cgroup(1), culprits=SlabCulprits(rows, 300_000, 4096))
    container = document(one)["containers"][0]
    assert container["slab"] == [
        {
            "cache": "dentry",
            "objects": None,
            "bytes": None,
            "reclaimable": True,
            "culprits": [
                {
                    "pid": 7,
                    "comm": "find",
                    "syscall": "newfstatat",
                    "objects": 1009,
                    "bytes": 201_800,
                },
                {"pid": None, "comm": "sh", "syscall": None, "objects": 5, "bytes": 1000},
            ],
        }
    ]
    assert (container["slab_allocated_bytes"], container["slab_unwatched_bytes"]) == (300_000, 4096)


def test_a_census_and_its_culprits_are_one_row() -> None:
    """Null where nobody was seen; what came only after the census is told, without amounts."""
    rows = (
        SlabCulpritRow("dentry", 7, 1, "find", "newfstatat", 1009, 1009 * 200),
        SlabCulpritRow("xfs_inode", 7, 1, "find", "openat", 1, 1000),
    )
    counted = Slab((SlabRow("dentry", 2000, 400_000, True), SlabRow("filp", 1, 264, False)))
    one = replace(cgroup(1), slab=counted, culprits=SlabCulprits(rows, 201_800, 0))
    dentries, open_files, later = document(one)["containers"][0]["slab"]
    assert (dentries["cache"], dentries["objects"], dentries["bytes"]) == ("dentry", 2000, 400_000)
    assert [(each["pid"], each["objects"]) for each in dentries["culprits"]] == [(7, 1009)]
    assert (open_files["cache"], open_files["culprits"]) == ("filp", None)
    assert (later["cache"], later["bytes"], len(later["culprits"])) == ("xfs_inode", None, 1)


def test_what_nobody_watched_is_null() -> None:
    """No rows: unknown, not an empty list; and since when it is watched is told."""
    told = document(cgroup(1), SlabWatch(True, 1000.5))
    assert told["slab_watch"] == {"armed": True, "since": 1000.5}
    container = told["containers"][0]
    assert container["slab"] is None
    assert (container["slab_allocated_bytes"], container["slab_unwatched_bytes"]) == (0, None)


def document(one: CgroupSample, watch: SlabWatch = NEVER) -> Any:
    """One snapshot as JSON."""
    return json.loads(render(snapshot(replace(sample(one), slab_watch=watch), None, None)))
