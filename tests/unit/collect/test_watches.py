"""What is watched on demand, without a kernel: sums, bounds, whose, and that it ends."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from memtrace.collect.cgroups import Node
from memtrace.collect.watches import uses
from memtrace.collect.watches.thrashing import Thrashing
from memtrace.collect.watches.uses import User, UseTable
from memtrace.collect.watches.watching import Watching
from memtrace.kernel import wire
from memtrace.kernel.errors import BpfError
from memtrace.kernel.plan import OnDemand
from memtrace.samples import FileUses, Identity, Ledger, Memory
from tests.unit.collect import records
from tests.unit.model import builders

MIB = 1 << 20
FILE = records.file(1)
OTHER = User(9, records.process(7))
PLANS = {
    "touchers": OnDemand(("on_a", "on_b")),
    "dirtiers": OnDemand(("on_c",)),
    "refaults": OnDemand((), "this kernel has no tracepoint x"),
}


class FakeMap(dict[bytes, bytes]):
    """A map: what was put in, drained at once."""

    def put(self, key: bytes, value: bytes) -> None:
        self[key] = value

    def delete(self, key: bytes) -> bool:
        return self.pop(key, None) is not None

    def drain(self) -> Iterator[tuple[memoryview, memoryview, int]]:
        rows, values = b"".join(self), b"".join(self.values())
        if self:
            yield memoryview(bytearray(rows)), memoryview(bytearray(values)), len(self)
        self.clear()


class FakeSession:
    """Loads objects that are nothing but maps."""

    def __init__(self) -> None:
        self.loaded: dict[str, dict[str, FakeMap]] = {}
        self.drained_epoch = 0
        self.devices: dict[str, bytes] = {}
        self.refuses = False

    def load(self, name: str, programs: object, rodata: object) -> Any:
        if self.refuses:
            raise BpfError(1, f"load {name}")
        maps = {one: FakeMap() for one in ("uses_a", "uses_b", "watched", "unkept")}
        self.loaded[name] = maps
        return SimpleNamespace(map=maps.__getitem__, name=name)

    def unload(self, opened: Any) -> None:
        del self.loaded[opened.name]

    def tell(self, name: str, payer: int, user: User, pages: int, table: str = "uses_a") -> None:
        key = wire.USE_KEY.pack(payer, FILE, user.cgroup, user.process)
        self.loaded[name][table][key] = struct.pack("<q", pages)


class Rig:
    """A Watching of cgroups 1 (the root), 2 below it, 3 below that, and 9."""

    def __init__(self, plans: Mapping[str, OnDemand] = PLANS) -> None:
        self.session = FakeSession()
        paths = {1: (None, "/"), 2: (1, "/a"), 3: (2, "/a/b"), 9: (1, "/side")}
        nodes = {key: Node(key, parent, path, False) for key, (parent, path) in paths.items()}
        names = SimpleNamespace(comm=lambda _: "cp")
        resolver = SimpleNamespace(
            resolve=lambda _id, path, _removed: Identity("container", path, container=path[1:])
        )
        self.watching = Watching(self.session, plans, names, resolver, nodes, 4096)  # type: ignore[arg-type]
        self.ledger = Ledger(files=(builders.file(MIB)._replace(file=_file_id()),))

    def uses(self, cgroup: int) -> FileUses | None:
        """What the one file's row says."""
        self.ledger = self.watching.fill(cgroup, self.ledger)
        return self.ledger.files[0].uses


def _file_id() -> Any:
    from memtrace.samples import FileId

    inode, device, generation = wire.FILE.unpack(FILE)
    return FileId(device, inode, generation)


def test_nothing_is_loaded_by_default() -> None:
    """No object, no program, no work, and rows are handed on as they are."""
    rig = Rig()
    before = rig.ledger
    assert rig.uses(2) is None
    assert rig.ledger is before
    assert (rig.session.loaded, rig.watching.attached()) == ({}, ())


def test_features_say_why_they_are_off() -> None:
    """Not asked for, or not possible: two different things."""
    features = Rig().watching.features()
    assert features["touchers"].reason == "off until asked for: --watch touchers"
    assert features["touchers"].on_demand
    assert features["refaults"].reason == "this kernel has no tracepoint x"
    assert not features["refaults"].on_demand


def test_what_is_told_is_in_the_row() -> None:
    """Who, of which container, and how much; what is not watched is None."""
    rig = Rig()
    rig.watching.watch(frozenset({"touchers"}), None)
    assert rig.watching.attached() == ("on_a", "on_b")
    assert rig.uses(2) == FileUses(None, (), None, ())
    rig.session.tell("touchers", 2, OTHER, 5)
    rig.watching.gather()
    told = rig.uses(2)
    assert told is not None
    assert told.touched_by is not None
    (user,) = told.touched_by
    assert (user.cgroup_id, user.cgroup) == (9, "/side")
    assert (user.name, user.container) == ("/side", "side")
    assert (user.pid, user.comm, user.bytes) == (7, "cp", 5 * 4096)


def test_it_ends_when_nobody_asks() -> None:
    """Unloaded, forgotten, and unknown again in the rows."""
    rig = Rig()
    rig.watching.watch(frozenset({"touchers"}), None)
    rig.session.tell("touchers", 2, OTHER, 5)
    rig.watching.gather()
    assert rig.uses(2) is not None
    rig.watching.watch(frozenset(), None)
    assert (rig.session.loaded, rig.uses(2)) == ({}, None)
    rig.watching.watch(frozenset({"touchers"}), None)
    assert rig.uses(2) == FileUses(None, (), None, ())


def test_only_the_asked_cgroups_and_those_below_are_watched() -> None:
    """The kernel looks at their pages alone; the rows of others stay unknown."""
    rig = Rig()
    rig.watching.watch(frozenset({"dirtiers"}), frozenset({2}))
    watched = rig.session.loaded["dirtiers"]["watched"]
    assert sorted(watched) == [struct.pack("<Q", 2), struct.pack("<Q", 3)]
    assert rig.uses(9) is None
    assert rig.uses(3) == FileUses(None, None, (), None)
    rig.watching.watch(frozenset({"dirtiers"}), None)
    assert list(watched) == [struct.pack("<Q", 0)]


def test_an_unchanged_ledger_is_the_same_object() -> None:
    """What has no news costs nobody anything."""
    rig = Rig()
    rig.watching.watch(frozenset({"dirtiers"}), None)
    rig.uses(2)
    before = rig.ledger
    rig.watching.note((), 1.0)
    rig.uses(2)
    assert rig.ledger is before


def test_the_table_left_at_the_last_flip_is_drained() -> None:
    """The other one is being filled."""
    rig = Rig()
    rig.watching.watch(frozenset({"dirtiers"}), None)
    rig.session.tell("dirtiers", 2, OTHER, 5, "uses_b")
    rig.watching.gather()
    assert rig.uses(2) == FileUses(None, None, (), None)
    rig.session.drained_epoch = 1
    rig.watching.gather()
    told = rig.uses(2)
    assert told is not None
    assert told.dirtied_by is not None
    assert [user.bytes for user in told.dirtied_by] == [5 * 4096]


def test_a_count_that_is_taken_back_is_no_row() -> None:
    """A reader whose pages turned out to be its own."""
    rig = Rig()
    rig.watching.watch(frozenset({"touchers"}), None)
    for pages in (5, -5):
        rig.session.tell("touchers", 2, OTHER, pages)
        rig.watching.gather()
    assert rig.uses(2) == FileUses(None, (), None, ())


def test_a_refusal_is_a_reason_not_an_error() -> None:
    """The kernel may refuse a program: everything else goes on."""
    rig = Rig()
    rig.session.refuses = True
    rig.watching.watch(frozenset({"touchers"}), None)
    feature = rig.watching.features()["touchers"]
    assert not feature.enabled
    assert "the kernel refused it: cannot load touchers" in feature.reason
    assert rig.uses(2) == FileUses(None, None, None)


def test_names_of_other_things_do_nothing() -> None:
    """Not everything that can be watched is watched here."""
    rig = Rig()
    rig.watching.watch(frozenset({"something else"}), None)
    assert rig.session.loaded == {}


def test_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and users come and go for weeks; the largest stay."""
    monkeypatch.setattr(uses, "MAX_FILES", 8)
    monkeypatch.setattr(uses, "MAX_USERS", 4)
    table = UseTable()
    for number in range(50):
        table.add(1, FILE, User(number, b""), number + 1)
        table.add(2, records.file(number), OTHER, number + 1)
        table.cut()
    assert max(table.users(1, FILE)).cgroup == 49
    assert len(table.users(1, FILE)) <= 4
    assert sum(bool(table.users(2, records.file(number))) for number in range(50)) <= 8


def _sample(**refaulted: int) -> list[Any]:
    """The root r, a below it, b below that."""
    parents = {"r": None, "a": 1, "b": 2}
    ids = {"r": 1, "a": 2, "b": 3}
    return [
        builders.cgroup(ids[name], parents[name], f"/{name}", memory=Memory(refaulted_bytes=count))
        for name, count in refaulted.items()
    ]


def test_a_cgroup_that_thrashes_is_followed_until_it_is_quiet() -> None:
    """The lowest one alone, though the counts of all above it move, too."""
    thrashing = Thrashing()
    for step in range(4):
        amount = step * 8 * MIB
        thrashing.note(_sample(r=amount, a=amount, b=amount), float(step))
    assert thrashing.cgroups == {3}
    for step in range(4, 40):
        thrashing.note(_sample(r=amount, a=amount, b=amount), float(step))
    assert thrashing.cgroups == frozenset()


def test_the_first_count_is_no_growth() -> None:
    """What was refaulted before memtrace came says nothing of now."""
    thrashing = Thrashing()
    for step in range(5):
        thrashing.note(_sample(r=900 * MIB, a=900 * MIB), float(step))
    assert thrashing.cgroups == frozenset()


def test_a_released_cgroup_is_followed_no_more() -> None:
    """It is not in the sample any more."""
    thrashing = Thrashing()
    for step in range(4):
        thrashing.note(_sample(r=0, a=step * 8 * MIB), float(step))
    assert thrashing.cgroups == {2}
    thrashing.note(_sample(r=0), 9.0)
    assert thrashing.cgroups == frozenset()
