"""Samples as lines and back: nothing is lost, and little is said twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from memtrace.model.modeler import Modeler
from memtrace.samples import KINDS, REASONS, Feature, Identity, Memory, Sample
from memtrace.store.decoding import Decoder
from memtrace.store.encoding import lines
from memtrace.store.errors import StoreError
from memtrace.store.layout import Names, field_names, record_of
from memtrace.views.json import Renderer
from tests.unit.model.builders import added, cgroup, driver, sample
from tests.unit.model.builders import file as file_row
from tests.unit.store.generated import sequence
from tests.unit.views.screen.scenes import node


def encoded(samples: Sequence[Sample]) -> list[list[bytes]]:
    """The lines of each sample after the one before."""
    before = [None, *samples[:-1]]
    return [[line.encode() for line in lines(n, b)] for n, b in zip(samples, before, strict=True)]


def decoded(frames: list[list[bytes]], names: Names | None = None) -> list[Sample]:
    """The samples of these lines."""
    decoder = Decoder(names or field_names())
    return [decoder.decode(frame) for frame in frames]


@pytest.mark.parametrize("seed", range(100))
def test_what_is_read_is_what_was_written(seed: int) -> None:
    """Any sample that the types allow, after any other."""
    samples = sequence(seed)
    assert decoded(encoded(samples)) == samples


@pytest.mark.parametrize("seed", range(100))
def test_snapshots_of_a_recording_are_those_seen_live(seed: int) -> None:
    """Through the real model, down to the line of JSON; and no content makes them fail."""
    samples = sequence(seed)
    live, replay = (
        [Renderer().render(snapshot) for snapshot in map(Modeler().snapshot, each)]
        for each in (samples, decoded(encoded(samples)))
    )
    assert live == replay


def test_what_did_not_change_is_not_written() -> None:
    """One line of a few bytes for a sample like the one before."""
    now = node(3)
    assert [len(line) for line in encoded([now, replace(now)])[1]] == [len("[null,null]")]


def test_a_changed_cgroup_is_one_line_of_what_changed_in_it() -> None:
    """Neither the others, nor its own name and rows."""
    rows = tuple(driver(4096 * number, inode=number) for number in range(1, 25))
    before = cgroup(2, 1, memory=Memory(usage_bytes=5))
    before = replace(before, ledger=replace(before.ledger, drivers=rows))
    grown = rows[7]._replace(added_bytes=1 << 30)
    after = replace(before, ledger=replace(before.ledger, drivers=(*rows[:7], grown, *rows[8:])))
    whole, change = encoded([sample(cgroup(1), before), sample(cgroup(1), after)])
    assert len(change) == 2
    assert json.loads(change[1])[0] == 2
    assert b"1073741824" in change[1]
    assert len(change[1]) < sum(map(len, whole)) / 10


def test_what_did_not_change_is_the_same_object_again() -> None:
    """As with live samples: the model then has nothing to do."""
    one, two = decoded(encoded([node(1), node(2)]))
    same = [now is then for now, then in zip(two.cgroups, one.cgroups, strict=True)]
    assert same == [now == then for now, then in zip(node(2).cgroups, node(1).cgroups, strict=True)]
    assert sum(same) > 5


def test_fields_of_a_newer_memtrace_are_left_out() -> None:
    """At every level, also where only changes are written."""
    names = {**field_names()}
    for kind in ("Sample", "Memory", "FileRow"):
        names[kind] = ["new", *names[kind]]
    first, second = ([json.loads(line) for line in frame] for frame in encoded([node(1), node(2)]))
    first[0][1][1].insert(0, {"unknown": [1]})
    second[0][1] = [1, [0, [[0, 0, 1], ["x"]], *_moved(second[0][1][1])]]
    for line in first[1:]:
        values = line[1][1]
        if values[5] is not None:
            values[5].insert(0, 7)
        for row in values[6][9]:
            row.insert(0, "new")
    for line in second[1:]:
        changes = line[1][1]
        changes[1][1] = [0, 8, *_moved(changes[1][1])]
    frames = [[json.dumps(line).encode() for line in frame] for frame in (first, second)]
    assert decoded(frames, names) == [node(1), node(2)]


def _moved(changes: list[object]) -> list[object]:
    """The same changes when every field has the next number."""
    return [each + 1 if n % 2 == 0 else each for n, each in enumerate(changes)]  # type: ignore[operator]


def test_fields_of_an_older_memtrace_have_their_default() -> None:
    """What it did not record is unknown."""
    names = {**field_names(), "Identity": ["kind", "name"]}
    made = sample(cgroup(1, identity=Identity("container", "postgres", image="postgres:16")))
    (frame,) = encoded([made])
    top, line = (json.loads(each) for each in frame)
    line[1][1][3] = line[1][1][3][:2]
    (read,) = decoded([[json.dumps(each).encode() for each in (top, line)]], names)
    assert read.cgroups[0].identity == Identity("container", "postgres")


def test_a_recording_without_what_must_be_known_is_refused() -> None:
    """By name."""
    with pytest.raises(StoreError, match="has no parent_id"):
        Decoder({**field_names(), "CgroupSample": ["cgroup_id"]})


def test_text_of_any_kind_survives() -> None:
    """Line ends, escape sequences and bytes that are no text."""
    strange = "a\nb\x1b[2J\udcff\u202e"
    made = replace(
        sample(cgroup(1, path=f"/{strange}")), features={strange: Feature(False, strange)}
    )
    assert decoded(encoded([made])) == [made]


def test_kinds_and_reasons_belong_to_the_schema() -> None:
    """Amounts are stored in their order: another order needs another number of the schema."""
    kinds = "read write mmap readahead sendfile splice copy_file_range fallocate exec io_uring"
    assert (*kinds.split(), "metadata", "shmem", "kernel", "other") == KINDS
    assert REASONS == ("reclaim", "truncate", "unlink", "drop", "other")


HEAD, CGROUP = (line.decode() for line in encoded([sample(cgroup(1, 7))])[0])


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("", CGROUP),
        ("[null,null]", CGROUP),
        (HEAD, ""),
        (HEAD, CGROUP[:-2]),
        (HEAD, CGROUP.replace('"running"', "1")),
        (HEAD, CGROUP.replace("[1,[0,[1,", "[2,[0,[1,")),
        (HEAD, CGROUP.replace("[1,[0,[1,", "[true,[0,[1,")),
        (HEAD, CGROUP.replace("[1,[0,[1,7", "[1,[0,[1,1e400")),
        (HEAD, CGROUP.replace("[1,[0,[1,7", f"[1,[0,[1,{10**400}")),
        (HEAD, CGROUP.replace("[0,0,0,0,0]", "[0,0,0,0]")),
        (HEAD, CGROUP.replace("true", "null")),
        (HEAD, CGROUP.replace("[1,[0,", "[1,[1,")),
        (HEAD, "[" * 100_000),
        (HEAD, "[1,NaN]"),
        (HEAD, "\udcff"),
        (HEAD.replace("1000.0", "1e18"), CGROUP),
        (HEAD.replace("1000.0", "NaN"), CGROUP),
        (HEAD.replace("[[0,0,1],[1]]", "[[0,1,0],[]]"), CGROUP),
        (HEAD.replace("[[0,0,1],[1]]", "[[0,0,2],[1,1]]"), CGROUP),
        (HEAD.replace("[[0,0,1],[1]]", "[[-1,0,1],[1]]"), CGROUP),
        (HEAD.replace("[[0,0,1],[1]]", "[[0,0,70000],[1]]"), CGROUP),
    ],
)
def test_nonsense_is_refused_in_a_sentence(head: str, line: str) -> None:
    """Wrong types, missing parts, numbers that are none, endless nesting."""
    lines = [each.encode(errors="surrogateescape") for each in (head, line)]
    with pytest.raises(StoreError, match=r"^the recording is damaged: "):
        decoded([lines])


def test_a_cgroup_below_itself_is_refused() -> None:
    """The tree of such ones has no top, and walks up it no end."""
    with pytest.raises(StoreError, match="below itself"):
        decoded(encoded([sample(cgroup(1, 2), cgroup(2, 3), cgroup(3, 1), cgroup(4, 4))]))


def test_what_cannot_be_stored_is_noticed_when_it_is_added() -> None:
    """A field of samples.py of a type without a form here."""

    class Odd:
        pass

    with pytest.raises(TypeError, match="cannot be stored"):
        record_of(Odd)


def test_amounts_by_kind_keep_their_order() -> None:
    """A known ledger, field by field."""
    rows = (file_row(5, inode=3),)
    made = cgroup(1)
    made = replace(made, ledger=replace(made.ledger, added=added(write=5), files=rows))
    (read,) = decoded(encoded([sample(made)]))
    assert read.cgroups[0].ledger.added[KINDS.index("write")] == 5
    assert read.cgroups[0].ledger.files == rows
