"""The baseline within bounds: files not held by name, pushed out of a table, or too many."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memtrace.collect import baseline, ledger
from tests.unit.collect import records
from tests.unit.collect.fake_kernel import PAGE, FakeKernel, Rig, resident
from tests.unit.collect.records import RECLAIM, TMPFS

X, Y, Z = (records.file(inode) for inode in (1, 2, 3))
SHARED = records.file(1, TMPFS)


@pytest.fixture
def rig() -> Rig:
    """Older cgroups /a and /b; no baseline yet."""
    return Rig("/a", "/b")


def once(kernel: FakeKernel, happens: Callable[[], None]) -> None:
    """Let something happen in the middle of the next walk."""

    def interrupt() -> None:
        kernel.interrupt = lambda: None
        happens()

    kernel.interrupt = interrupt


def test_a_file_beyond_the_held_ones_comes_back_with_its_pages(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the largest are held by name; the first event of another finds what was walked."""
    monkeypatch.setattr(baseline, "KEPT_FILES", 1)
    a = rig.id("/a")
    rig.kernel.pages.update({(a, X): 40, (a, Y): 7})
    rig.collector.take_baseline()
    assert [entry.baseline_bytes for entry in rig.row("/a").ledger.files] == [40 * PAGE]
    rig.kernel.remove(a, Y, 2, RECLAIM)
    row = rig.row("/a")
    assert row.ledger.baseline_bytes == 47 * PAGE
    assert [entry.baseline_bytes for entry in row.ledger.files] == [40 * PAGE, 7 * PAGE]


def test_a_small_file_unsettled_by_another_cgroup_is_counted_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/a holds X only; /b touches Y, of which /a has 7 pages: /a still has 47, not 54."""
    monkeypatch.setattr(baseline, "KEPT_FILES", 1)
    a, b = rig.id("/a"), rig.id("/b")
    rig.kernel.pages.update({(a, X): 40, (a, Y): 7})
    once(rig.kernel, lambda: rig.kernel.add(b, Y, 3))
    rig.collector.take_baseline()
    rig.sample()
    assert resident(rig.row("/a")) == 47
    assert resident(rig.row("/b")) == 3


def test_a_cut_file_that_was_unsettled_is_counted_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pushed out of a full table before it was quiet: the cgroup's sum stays right."""
    monkeypatch.setattr(ledger, "MAX_FILES", 1)
    a = rig.id("/a")
    rig.kernel.pages.update({(a, X): 10, (a, Y): 90})
    once(rig.kernel, lambda: rig.kernel.add(a, X, 5))
    rig.collector.take_baseline()
    rig.kernel.add(a, X, 1)  # busy: not settled by the next sample, which cuts it
    rig.sample()
    rig.sample()
    assert resident(rig.row("/a")) == 106


def test_a_baseline_taken_again_knows_what_was_cut(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Y's 5 added pages left the table, not the cgroup: 95 there, 90 of them before."""
    monkeypatch.setattr(ledger, "MAX_FILES", 1)
    a = rig.id("/a")
    rig.kernel.pages[a, X] = 90
    rig.collector.take_baseline()
    rig.kernel.add(a, Y, 5)
    rig.sample()
    rig.collector.take_baseline()
    row = rig.row("/a")
    assert (row.ledger.baseline_bytes, resident(row)) == (90 * PAGE, 95)
