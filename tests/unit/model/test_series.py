"""Whose series there are in /metrics: unique names, bounded, nothing hostile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memtrace.model.series import LONGEST, MOST, MOST_REMOVED, REST, Labels, Series, clean, series
from memtrace.model.snapshot import snapshot
from memtrace.samples import CgroupSample, Identity, Ledger
from tests.unit.model.builders import added, cgroup, sample

POD = "/kubepods/pod1"


def container(
    number: int, parent: int | None = 1, name: str = "app", path: str = "", state: str = "running"
) -> CgroupSample:
    """One container of the pod web in the namespace shop."""
    who = Identity("container", name, "containerd", "shop", "web", name)
    path = path or f"{POD}/{number}"
    ledger = Ledger(added=added(read=4096), baseline_bytes=0)
    return cgroup(number, parent, path, identity=who, state=state, ledger=ledger)


def found(*cgroups: CgroupSample) -> Series:
    """The series of these cgroups."""
    return series(snapshot(sample(*cgroups), None, None).containers)


def running(*cgroups: CgroupSample) -> dict[Labels, int]:
    """The labels of those that run, and whose they are."""
    return {labels: each.source.cgroup_id for labels, each in found(*cgroups).running}


def test_a_container_has_its_names_and_everything_else_its_path() -> None:
    """A pod has no container's name, a unit and the whole machine their cgroup's path."""
    pod = cgroup(2, 1, POD, identity=Identity("pod", "web", None, "shop", "web"))
    unit = cgroup(4, 1, "/system.slice/a.service", identity=Identity("unit", "a.service"))
    assert running(cgroup(1, path="/"), pod, container(3, 2), unit) == {
        Labels(cgroup="/"): 1,
        Labels("shop", "web"): 2,
        Labels("shop", "web", "app"): 3,
        Labels(cgroup="/system.slice/a.service"): 4,
    }


def test_a_restarted_container_is_one_series() -> None:
    """The newest has the name; an older one that still runs has its path besides."""
    assert running(container(7), container(3)) == {
        Labels("shop", "web", "app"): 7,
        Labels("shop", "web", "app", f"{POD}/3"): 3,
    }
    assert running(container(7), container(3, state="removed")) == {Labels("shop", "web", "app"): 7}


def test_what_is_inside_a_container_has_no_series() -> None:
    """The second cgroup that crun makes, and what runs in there; but another container has."""
    outer, inner = container(3), container(4, 3, path=f"{POD}/3/container")
    part = cgroup(5, 4, f"{POD}/3/container/init.scope")
    nested = container(6, 5, name="inside", path=f"{POD}/3/container/init.scope/x")
    assert set(running(outer, inner, part, nested).values()) == {3, 6}


def test_removed_ones_are_added_up_by_name() -> None:
    """How many and what they left; beyond the largest they are one row."""
    gone = [container(number, state="removed") for number in (3, 4)]
    (row,) = found(*gone).removed
    assert row == (Labels("shop", "web", "app"), 2, 8192)
    many = [container(n, name=f"c{n}", state="removed") for n in range(MOST_REMOVED + 5)]
    rows = found(*many).removed
    assert len(rows) == MOST_REMOVED + 1
    assert rows[-1] == (REST, 5, 5 * 4096)


def test_there_are_no_more_series_than_there_may_be() -> None:
    """Containers come first; what finds no room is counted."""
    others = [cgroup(number, 1, f"/x/{number}") for number in range(10, 10 + MOST)]
    made = found(cgroup(1, path="/"), *others, container(3))
    assert len(made.running) == MOST
    assert made.left_out == 2
    assert Labels("shop", "web", "app") in dict(made.running)


@given(st.text(st.characters(), max_size=2 * LONGEST))
def test_any_name_is_fit_for_a_label(text: str) -> None:
    """Printable, bounded, UTF-8."""
    made = clean(text)
    assert made.isprintable()
    assert len(made) <= LONGEST
    made.encode()
    if text.isprintable() and len(text) <= LONGEST:
        assert made == text
