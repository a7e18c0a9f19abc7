"""Choosing and ordering containers."""

from __future__ import annotations

from memtrace.model.selection import Selection, close_names, matching, ordered, rows_of, select
from memtrace.model.shapes import Container
from memtrace.model.snapshot import snapshot
from memtrace.samples import Identity, Ledger, Memory
from tests.unit.model.builders import added, cgroup, process, sample


def containers() -> tuple[Container, ...]:
    """A node with one pod of two containers, one of them with cgroups of its own."""
    pg = Identity("container", "postgres", "containerd", "shop", "db-0", "postgres")
    side = Identity("container", "sidecar", "containerd", "shop", "db-0", "sidecar")
    ledger = Ledger(added=added(read=1), baseline_bytes=0, processes=(process(1, tgid=42),))
    return snapshot(
        sample(
            cgroup(1, path="/"),
            cgroup(2, 1, "/pod", identity=Identity("pod", "db-0", None, "shop", "db-0")),
            cgroup(3, 2, "/pod/pg", identity=pg, memory=Memory(usage_bytes=10), ledger=ledger),
            cgroup(4, 3, "/pod/pg/init", memory=Memory(usage_bytes=9)),
            cgroup(5, 2, "/pod/side", identity=side, memory=Memory(usage_bytes=20)),
            cgroup(6, 1, "/ssh.service"),
        ),
        None,
        None,
    ).containers


def paths(chosen: object) -> list[str]:
    assert isinstance(chosen, tuple | list)
    return [c.source.path for c in chosen]


def test_rows_are_whole_containers_and_other_leaves() -> None:
    """Groups and a container's inner cgroups are no rows of a flat list."""
    assert paths(rows_of(containers())) == ["/pod/pg", "/pod/side", "/ssh.service"]


def test_each_filter_narrows() -> None:
    """Namespace, pod, container by name or path, and process."""
    known = containers()
    assert paths(select(known, Selection(namespace="shop"))) == ["/pod", "/pod/pg", "/pod/side"]
    assert paths(select(known, Selection(pod="db-0", container="sidecar"))) == ["/pod/side"]
    assert paths(select(known, Selection(container="/ssh.service"))) == ["/ssh.service"]
    assert paths(select(known, Selection(pid=1, pid_cgroup="/pod/pg/init"))) == ["/pod/pg"]
    assert paths(select(known, Selection(pid=1, pid_cgroup="/ssh.service"))) == ["/ssh.service"]
    assert "/pod/pg" in paths(select(known, Selection(pid=42)))
    assert not select(known, Selection(container="nothing"))


def test_a_pod_asked_for_by_name_is_shown_even_without_leaves() -> None:
    """Where only groups are left, they are the rows."""
    assert paths(rows_of(containers()[1:2])) == ["/pod"]


def test_close_names_help_with_typing() -> None:
    """Similar and containing names are offered."""
    assert close_names(containers(), Selection(container="postgre")) == ["postgres"]
    assert close_names(containers(), Selection(namespace="sho")) == ["shop"]
    assert close_names(containers(), Selection(container="zzz")) == []


def test_unknown_amounts_sort_last() -> None:
    """Largest first, unknown at the end, names in order."""
    rows = rows_of(containers())
    assert paths(ordered(rows, "usage")) == ["/pod/side", "/pod/pg", "/ssh.service"]
    assert paths(ordered(rows, "name"))[0] == "/ssh.service"


def test_a_text_is_looked_for_in_names_images_and_cgroups() -> None:
    """In any case; a blank one matches everything."""
    shop = Identity("container", "pg", namespace="shop", pod="db-0", image="Postgres:16")
    containers = snapshot(
        sample(cgroup(1, path="/a/pg", identity=shop), cgroup(2, path="/b")), None, None
    ).containers
    for text in ("SHOP", "db-", "postgres:", "/a/", " pg "):
        assert [c.source.cgroup_id for c in matching(containers, text)] == [1]
    assert len(matching(containers, " ")) == 2
