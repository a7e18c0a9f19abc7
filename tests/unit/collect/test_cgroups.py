"""The tree of cgroups: events in any order, a walk that repairs, and what is folded away."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtrace.collect import cgroups
from memtrace.collect.cgroups import REMOVED, RUNNING, CgroupTree, Node
from memtrace.collect.events import CgroupChanged
from memtrace.host.hierarchy import Hierarchy
from tests.unit.collect.records import MKDIR, RELEASE, RMDIR, WRITE

NEW = 999_999_999_001
LATER = 999_999_999_002


class Grove:
    """A tree over real directories, and what it has let go."""

    def __init__(self, mount: Path) -> None:
        self.mount = mount
        self.gone: list[Node] = []
        self.mkdir("/a")
        self.tree = CgroupTree(Hierarchy("v1", mount, 4, 1), self.gone.append)

    def mkdir(self, path: str) -> int:
        """A directory, without an event; its id."""
        directory = self.mount / path.lstrip("/")
        directory.mkdir(parents=True)
        return directory.stat().st_ino

    def id(self, path: str) -> int:
        """The id of a directory."""
        return (self.mount / path.lstrip("/")).stat().st_ino

    def tell(self, change: int, cgroup: int, path: str, parent: str = "/") -> None:
        """An event."""
        self.tree.apply(CgroupChanged(change, cgroup, self.id(parent), path))

    def node(self, cgroup: int) -> Node:
        """A node."""
        return self.tree.nodes[cgroup]

    def paths(self) -> list[tuple[str, str]]:
        """What is shown: path and state."""
        return [(node.path, node.state) for node in self.tree.in_order()]


@pytest.fixture
def grove(tmp_path: Path) -> Iterator[Grove]:
    """One older cgroup, /a."""
    return Grove(tmp_path)


def test_what_the_first_walk_finds_is_older(grove: Grove) -> None:
    """It was there before the programs: no baseline yet, not born."""
    assert grove.paths() == [("/", RUNNING), ("/a", RUNNING)]
    node = grove.node(grove.id("/a"))
    assert (node.born, node.ledger.baseline, node.parent) == (False, None, grove.id("/"))
    assert grove.node(grove.id("/")).parent is None


def test_a_new_cgroup_starts_from_nothing(grove: Grove) -> None:
    """Made after the programs were attached: its baseline is 0."""
    grove.tell(MKDIR, NEW, "/new")
    node = grove.node(NEW)
    assert (node.path, node.born, node.state, node.ledger.baseline) == ("/new", True, RUNNING, 0)


def test_made_between_attaching_and_the_walk(grove: Grove) -> None:
    """The walk saw it first, the event comes late: still born, so its baseline is 0."""
    cgroup = grove.id("/a")
    grove.tell(MKDIR, cgroup, "/a")
    assert (grove.node(cgroup).born, grove.node(cgroup).ledger.baseline) == (True, 0)
    assert len(grove.tree.nodes) == 2


def test_repeated_events_do_no_harm(grove: Grove) -> None:
    """Twice made, twice removed, twice released: as if once."""
    for change in (MKDIR, MKDIR, RMDIR, RMDIR, RELEASE, RELEASE):
        grove.tell(change, NEW, "/new")
    assert NEW not in grove.tree.nodes
    assert [node.id for node in grove.gone] == [NEW]


def test_a_removed_cgroup_stays_until_it_is_released(grove: Grove) -> None:
    """Its directory is gone, its pages may live: it is shown as removed."""
    grove.tell(MKDIR, NEW, "/new")
    grove.node(NEW).ledger.added[WRITE] = 5
    grove.tell(RMDIR, NEW, "/new")
    grove.tree.repair()
    assert ("/new", REMOVED) in grove.paths()
    grove.tell(RELEASE, NEW, "/new")
    assert ("/new", REMOVED) not in grove.paths()
    assert grove.node(grove.id("/")).ledger.departed_added[WRITE] == 5


def test_a_path_taken_again_is_another_cgroup(grove: Grove) -> None:
    """A container restarted under the same name has its own row beside the old one's."""
    grove.tell(MKDIR, NEW, "/new")
    grove.tell(RMDIR, NEW, "/new")
    grove.tell(MKDIR, LATER, "/new")
    assert grove.paths()[2:] == [("/new", REMOVED), ("/new", RUNNING)]


def test_an_unseen_cgroup_is_told_by_its_removal(grove: Grove) -> None:
    """The walk of the page cache met a removed one: its own name under its parent's path."""
    grove.tell(RMDIR, NEW, "old", parent="/a")
    node = grove.node(NEW)
    assert (node.path, node.state, node.parent, node.born) == (
        "/a/old",
        REMOVED,
        grove.id("/a"),
        False,
    )


def test_a_removed_cgroup_under_an_unknown_parent_hangs_at_the_root(grove: Grove) -> None:
    """Parent 0 or unknown: below the root, so that sums still hold."""
    grove.tree.apply(CgroupChanged(RMDIR, NEW, 0, "orphan"))
    assert (grove.node(NEW).path, grove.node(NEW).parent) == ("/orphan", grove.id("/"))


def test_children_of_a_released_cgroup_move_up(grove: Grove) -> None:
    """Nothing points to a node that is gone."""
    grove.tell(MKDIR, NEW, "/a/b", parent="/a")
    grove.tell(RELEASE, grove.id("/a"), "/a")
    assert grove.node(NEW).parent == grove.id("/")


def test_the_root_is_never_released(grove: Grove) -> None:
    """An event that says so is not believed."""
    grove.tell(RELEASE, grove.id("/"), "/")
    assert grove.paths()[0] == ("/", RUNNING)


def test_repair_finds_what_no_event_told(grove: Grove) -> None:
    """A lost mkdir: found by the walk, born. A lost rmdir: removed."""
    made = grove.mkdir("/lost")
    (grove.mount / "a").rename(grove.mount.parent / "moved-away")
    grove.tree.repair()
    assert grove.paths() == [("/", RUNNING), ("/a", REMOVED), ("/lost", RUNNING)]
    assert grove.node(made).born


def test_repair_lets_an_empty_removed_cgroup_go(grove: Grove) -> None:
    """A lost release: baseline 3 + added 5 - removed 8 is nothing left."""
    grove.tell(MKDIR, NEW, "/new")
    ledger = grove.node(NEW).ledger
    ledger.baseline, ledger.added[WRITE], ledger.removed[0] = 3, 5, 8
    grove.tell(RMDIR, NEW, "/new")
    for _ in range(2):
        grove.tree.repair()
    assert NEW not in grove.tree.nodes


def test_repair_keeps_a_removed_cgroup_of_unknown_baseline(grove: Grove) -> None:
    """Without a baseline nobody can say that it is empty."""
    removed = grove.id("/a")
    shutil.rmtree(grove.mount / "a")
    grove.tell(RMDIR, removed, "/a")
    grove.tree.repair()
    grove.tree.repair()
    assert ("/a", REMOVED) in grove.paths()


def test_pages_may_come_before_their_cgroup(grove: Grove) -> None:
    """A row of an unknown id waits unseen; the mkdir that follows shows it with its pages."""
    grove.tree.node(NEW).ledger.added[WRITE] = 5
    assert ("", REMOVED) not in grove.paths()
    grove.tell(MKDIR, NEW, "/new")
    assert grove.paths()[-1] == ("/new", RUNNING)
    node = grove.node(NEW)
    assert (node.parent, node.ledger.added[WRITE], node.ledger.baseline) == (grove.id("/"), 5, 0)


def test_repair_places_a_cgroup_known_by_its_pages_alone(grove: Grove) -> None:
    """The mkdir was lost, or this kernel tells none: the walk gives the waiting one its place."""
    made = grove.mkdir("/quiet")
    grove.tree.node(made).ledger.added[WRITE] = 5
    grove.tree.repair()
    assert grove.paths()[-1] == ("/quiet", RUNNING)


def test_a_removal_that_comes_first_after_the_walk_has_a_baseline(grove: Grove) -> None:
    """Its mkdir was lost and the page cache is walked: no walk met it, so it had nothing."""
    grove.tree.unwalked_baseline = 0
    grove.tell(RMDIR, NEW, "late", parent="/a")
    assert grove.node(NEW).ledger.baseline == 0


def test_removed_cgroups_are_bounded(grove: Grove, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the oldest go first, with their pages, to the parent."""
    monkeypatch.setattr(cgroups, "MAX_REMOVED", 2)
    for number in range(4):
        grove.tell(MKDIR, NEW + number, f"/new{number}")
        grove.node(NEW + number).ledger.added[WRITE] = 1
        grove.tell(RMDIR, NEW + number, f"/new{number}")
    grove.tree.repair()
    assert [path for path, state in grove.paths() if state == REMOVED] == ["/new2", "/new3"]
    assert grove.node(grove.id("/")).ledger.departed_added[WRITE] == 2


def test_parents_come_before_children(grove: Grove) -> None:
    """Names that sort oddly, such as "-" before "/", do not change that."""
    grove.tell(MKDIR, NEW, "/a-b")
    grove.tell(MKDIR, LATER, "/a/x", parent="/a")
    order = [path for path, _ in grove.paths()]
    assert order.index("/a") < order.index("/a/x")
    assert order[0] == "/"
