"""Rows that can be folded: every one once, groups above what is in them."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings

from memtrace.model.outline import Entry, flat, grouped, rows_among
from memtrace.model.selection import rows_of
from memtrace.model.snapshot import snapshot
from memtrace.samples import Identity, Sample
from tests.unit.model.builders import cgroup, sample
from tests.unit.model.test_properties import samples


def by_name(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.name)


def tree() -> Sample:
    """Two slices; a pod with two containers and one with a single one."""
    return sample(
        cgroup(1, path="/"),
        cgroup(2, 1, "/pods", identity=Identity("unit", "pods")),
        cgroup(3, 2, "/pods/a", identity=Identity("pod", "a")),
        cgroup(4, 3, "/pods/a/x", identity=Identity("container", "x", pod="a", container="x")),
        cgroup(5, 3, "/pods/a/y", identity=Identity("container", "y", pod="a", container="y")),
        cgroup(6, 2, "/pods/b", identity=Identity("pod", "b")),
        cgroup(7, 6, "/pods/b/z", identity=Identity("container", "z", pod="b", container="z")),
        cgroup(8, 6, "/pods/b/pause", identity=Identity("sandbox", "pause", pod="b")),
        cgroup(9, 1, "/ssh", identity=Identity("unit", "ssh")),
    )


def outline(toggled: Iterable[int] = ()) -> list[tuple[int, str, bool | None]]:
    containers = snapshot(tree(), None, None).containers
    found = grouped(containers, rows_of(containers), by_name, set(toggled))
    return [(entry.depth, entry.name, entry.folded) for entry in found]


def test_groups_stand_above_what_is_in_them() -> None:
    """The root is none; a pod with a single real container is folded at first."""
    assert outline() == [
        (0, "pods", False),
        (1, "a", False),
        (2, "x", None),
        (2, "y", None),
        (1, "b", True),
        (0, "ssh", None),
    ]


def test_groups_fold_and_unfold() -> None:
    """By the ids that the user toggled."""
    assert outline([2]) == [(0, "pods", True), (0, "ssh", None)]
    assert [name for _, name, _ in outline([6])] == [
        "pods",
        "a",
        "x",
        "y",
        "b",
        "pause",
        "z",
        "ssh",
    ]


def test_a_flat_list_names_pod_and_container() -> None:
    """Nothing above tells it."""
    containers = snapshot(tree(), None, None).containers
    names = [entry.name for entry in flat(rows_of(containers), by_name)]
    assert names == ["a/x", "a/y", "b/z", "pause", "ssh"]


@settings(deadline=None, max_examples=60)
@given(samples())
def test_every_row_is_there_once_and_no_group_is_counted(now: Sample) -> None:
    """Whatever the tree: entries that are no group are exactly the rows that add up."""
    containers = snapshot(now, None, None).containers
    rows = rows_of(containers)
    assert rows_among(containers, containers) == list(rows)
    everything = {c.source.cgroup_id for c in containers}
    found = grouped(containers, rows, list, ())
    unfolded = grouped(containers, rows, list, {e.key for e in found if e.folded})
    keys = [entry.key for entry in unfolded]
    assert len(set(keys)) == len(keys)
    assert set(keys) <= everything
