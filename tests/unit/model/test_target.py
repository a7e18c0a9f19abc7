"""One word for a container, a pod, a cgroup or a process."""

from __future__ import annotations

import pytest

from memtrace.model.shapes import Container
from memtrace.model.snapshot import snapshot
from memtrace.model.target import close_names, find
from memtrace.samples import Identity
from tests.unit.model.builders import cgroup, sample

MOUNT = "/sys/fs/cgroup/memory"
PG = Identity("container", "pg-1", namespace="shop", pod="db-0", container="postgres")
NUMBER = Identity("container", "42", container="42")


def containers() -> tuple[Container, ...]:
    """A node with a pod's container, a unit and a container named by a number."""
    cgroups = (
        cgroup(1, path="/"),
        cgroup(2, 1, "/kube", identity=Identity("pod", "db-0", pod="db-0")),
        cgroup(3, 2, "/kube/pg", identity=PG),
        cgroup(4, 1, "/ssh.service", identity=Identity("unit", "ssh.service")),
        cgroup(5, 1, "/n", identity=NUMBER),
    )
    return snapshot(sample(*cgroups), None, None).containers


def lives_in(pid: int) -> str | None:
    """Process 100 is a postgres, and there is no other."""
    return {100: "/kube/pg/worker"}.get(pid)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("postgres", [3]),
        ("ssh.service", [4]),
        ("db-0", [2]),
        ("/kube/pg", [3]),
        ("/kube/pg/", [3]),
        (f"{MOUNT}/kube/pg", [3]),
        (f"{MOUNT}/kube/pg/", [3]),
        (MOUNT, [1]),
        ("/", [1]),
        ("100", [3]),
        ("42", [5]),
        ("101", []),
        ("nobody", []),
        ("", []),
        ("/sys/fs/cgroup/memory2/kube", []),
    ],
)
def test_a_word_means_what_bears_it(word: str, found: list[int]) -> None:
    """A name before a pid; a directory of the hierarchy is the cgroup in it."""
    chosen = find(containers(), word, MOUNT, lives_in)
    assert [container.source.cgroup_id for container in chosen] == found


def test_a_running_one_comes_before_a_removed_one_of_its_name() -> None:
    """A pod that was made anew; of one that is gone, what is left is told."""
    before = cgroup(6, 1, "/gone", identity=PG, state="removed")
    gone, found = snapshot(sample(cgroup(1, path="/"), before), None, None).containers, []
    for known in (gone, (*gone, *containers())):
        found.append([each.source.cgroup_id for each in find(known, "postgres", MOUNT, lives_in)])
    assert found == [[6], [3]]


def test_names_like_it_are_offered() -> None:
    """At most three, of whatever kind."""
    assert close_names(containers(), "postgers")[0] == "postgres"
    assert close_names(containers(), "ssh") == ["ssh.service", "/ssh.service"]
    assert close_names(containers(), "zzzzzz") == []
