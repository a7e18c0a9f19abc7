"""Who is asked for names: file handles where they work, a walk for the rest, both within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from memtrace.collect import namer
from memtrace.host.file_handles import Found
from tests.unit.collect import records
from tests.unit.collect.fake_kernel import FakeKernel, Rig

X = records.file(1)


class FakeHandles:
    """Handles of one device; `found` by inode, None: cannot say."""

    def __init__(self) -> None:
        self.found: dict[int, Found | None] = {}
        self.asked: list[int] = []
        self.works = True

    def knows(self, device: int) -> bool:
        """Of the disk's files."""
        return device == records.DISK

    @contextmanager
    def opened(self, device: int) -> Iterator[FakeHandles | None]:
        """Itself, unless it does not work."""
        assert self.knows(device)
        yield self if self.works else None

    def find(self, inode: int, generation: int) -> Found | None:
        """What was put there; else the file is gone."""
        assert generation == 7
        self.asked.append(inode)
        return self.found.get(inode, Found(None, None))


@pytest.fixture
def handles() -> FakeHandles:
    """Handles that know no file yet."""
    return FakeHandles()


@pytest.fixture
def rig(handles: FakeHandles, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A cgroup /a whose one file, /tmp/x, was written and told; no waiting for quiet."""
    made = Rig("/a")
    made.collector.take_baseline()
    made.collector._namer._handles = handles  # type: ignore[assignment]
    monkeypatch.setattr("memtrace.collect.naming.QUIET_SECONDS", 0.0)
    made.kernel.ring.append(records.path_event(X, b"x", b"tmp"))
    made.kernel.add(made.id("/a"), X, 5)
    return made


def walks_for(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files that walks are asked for from now on."""
    asked: list[bytes] = []
    monkeypatch.setattr(kernel, "want", asked.extend)
    return asked


def shown(rig: Rig) -> list[tuple[str | None, bool | None]]:
    """Paths and whether deleted, of the files of /a."""
    return [(row.path, row.deleted) for row in rig.row("/a").ledger.files]


def test_a_renamed_file_has_its_new_name(
    rig: Rig, handles: FakeHandles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the very sample in which it is looked at, without a walk."""
    walked = walks_for(rig.kernel, monkeypatch)
    handles.found[1] = Found(b"/etc/new\nname (deleted)", 1)
    assert shown(rig) == [("/etc/new\nname (deleted)", False)]
    assert walked == []


def test_an_unlinked_file_is_deleted_and_keeps_its_name(rig: Rig, handles: FakeHandles) -> None:
    """Also when the kernel has forgotten the name."""
    handles.found[1] = Found(None, 0)
    assert shown(rig) == [("/tmp/x", True)]


def test_a_file_that_is_gone_stays_as_it_was_told(
    rig: Rig, handles: FakeHandles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the disk looks the same: neither deleted nor looked for by a walk."""
    walked = walks_for(rig.kernel, monkeypatch)
    assert shown(rig) == [("/tmp/x", False)]
    assert (handles.asked, walked) == ([1], [])


@pytest.mark.parametrize("works", [True, False])
def test_what_handles_cannot_say_is_left_to_a_walk(
    rig: Rig, handles: FakeHandles, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    """One file, or a file system where they turn out not to work."""
    walked = walks_for(rig.kernel, monkeypatch)
    handles.found[1] = None
    handles.works = works
    rig.sample()
    assert walked == [X]


def test_other_file_systems_are_walked(
    rig: Rig, handles: FakeHandles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No handle is tried on them."""
    walked = walks_for(rig.kernel, monkeypatch)
    other = records.file(2, records.TMPFS)
    rig.kernel.add(rig.id("/a"), other, 5)
    rig.sample()
    assert (handles.asked, walked) == ([1], [other])


def test_many_files_take_several_samples(
    rig: Rig, handles: FakeHandles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bounded number each time, none left out and none twice."""
    monkeypatch.setattr(namer, "MAX_LOOKS", 10)
    for inode in range(2, 25):
        rig.kernel.add(rig.id("/a"), records.file(inode), 5)
    counts = []
    for _ in range(4):
        rig.sample()
        counts.append(len(handles.asked))
    assert counts == [10, 20, 24, 24]
    assert sorted(handles.asked) == list(range(1, 25))
