"""`top --json`: the contract, to the letter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrace.model.snapshot import snapshot
from memtrace.samples import Feature, Ledger, Memory, Sample
from memtrace.views.json import render
from tests.unit.model.builders import added, cgroup, driver, file, process, removed, sample
from tests.unit.model.test_properties import samples

SCHEMA = json.loads(
    (Path(__file__).parents[3] / "docs" / "snapshot.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def full() -> Sample:
    """A sample with something in every list."""
    ledger = Ledger(
        added=added(write=30),
        removed=removed(reclaim=1),
        baseline_bytes=2,
        drivers=(driver(20), driver(5, inode=None, kind="shmem")),
        files=(file(20), file(5, inode=None, shmem=True)),
        processes=(process(25),),
    )
    return sample(cgroup(1, path="/", memory=Memory(file_bytes=31), ledger=ledger), cgroup(2, 1))


def parsed(now: Sample, before: Sample | None = None) -> dict[str, Any]:
    line = render(snapshot(now, before, 2.0 if before else None))
    assert "\n" not in line
    document: dict[str, Any] = json.loads(line)
    return document


def test_schema_itself_is_valid() -> None:
    """The shipped schema is a schema."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_snapshot_follows_the_schema() -> None:
    """First line and later lines; the schema requires every key and allows no other."""
    VALIDATOR.validate(parsed(full()))
    VALIDATOR.validate(parsed(full(), full()))


def test_first_line_has_no_interval_and_no_deltas() -> None:
    """Unknown is null, never 0."""
    document = parsed(full())
    container = document["containers"][0]
    assert document["interval_seconds"] is None
    deltas = {k: v for k, v in container["page_cache"].items() if k.endswith("_delta_bytes")}
    assert len(deltas) == 9
    assert set(deltas.values()) == {None}
    assert {entry["delta_bytes"] for entry in container["io"]} == {None}
    assert container["usage_bytes"] is None


def test_rows_carry_identity_and_amounts() -> None:
    """device is "major:minor", pid and tgid are the process, what is not measured is null."""
    container = parsed(full(), full())["containers"][0]
    first, unnamed = container["drivers"]
    assert first == {
        "path": "/f1",
        "container_path": None,
        "device": "8:1",
        "inode": 1,
        "pid": 10,
        "tgid": 10,
        "comm": "pg",
        "kind": "write",
        "syscall": "pwrite64",
        "added_bytes": 20,
        "added_delta_bytes": 0,
        "function": None,
        "sampled": False,
    }
    assert (unnamed["device"], unnamed["inode"]) == (None, None)
    assert [entry["charged_to"] for entry in container["files"]] == ["/", "/"]
    assert container["drivers_other_bytes"] == 5
    assert container["slab"] is None
    assert container["go"] is None


def test_features_are_objects() -> None:
    """{name: {enabled, reason}}."""
    now = full()
    now.features["slab"] = Feature(False, "not built")
    assert parsed(now)["features"] == {"slab": {"enabled": False, "reason": "not built"}}


def test_odd_names_come_back() -> None:
    """Control and wide characters survive; undecodable bytes become \\xNN."""
    path = "/a\x1b[2J\n\x7f\u202e日\U0001f600\udcff\\"
    row = driver(1)
    odd = type(row)(row.file, path, path, 1, "\udc80", "read", None, 1)
    line = render(
        snapshot(sample(cgroup(1, ledger=Ledger(added=added(read=1), drivers=(odd,)))), None, None)
    )
    shown = json.loads(line)["containers"][0]["drivers"][0]
    assert shown["path"] == path.replace("\udcff", "\\xff")
    assert shown["comm"] == "\\x80"
    assert all(32 <= ord(char) < 127 for char in line)


@settings(deadline=None, max_examples=40)
@given(samples(), st.none() | samples())
def test_any_sample_gives_one_line_of_valid_ascii_json(now: Sample, before: Sample | None) -> None:
    """Valid JSON, valid Unicode, every key, for every sample."""
    line = render(snapshot(now, before, 2.0 if before else None))
    assert all(32 <= ord(char) < 127 for char in line)
    document = json.loads(line)
    json.dumps(document, ensure_ascii=False).encode()
    VALIDATOR.validate(document)


def test_a_process_the_kernel_cannot_name_is_null() -> None:
    """Unknown is null, never 0."""
    ledger = Ledger(
        added=added(shmem=20),
        drivers=(driver(20, tgid=0, kind="shmem", comm=None),),
        processes=(process(20, tgid=0),),
    )
    document = parsed(sample(cgroup(1, path="/", ledger=ledger)))
    VALIDATOR.validate(document)
    (container,) = document["containers"]
    (row,) = container["drivers"]
    assert (row["pid"], row["tgid"], container["processes"][0]["pid"]) == (None, None, None)
