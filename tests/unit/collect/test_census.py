"""Taking a census: what it leaves behind, and what a failed one says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memtrace.collect.census import SlabCensus
from memtrace.kernel import census as kernel
from memtrace.kernel.census import CensusError
from memtrace.samples import Feature, SlabRow
from tests.unit.collect.fake_kernel import Rig
from tests.unit.collect.records import RMDIR
from tests.unit.collect.test_slab_rows import DENTRY, NAMES, Chunk, holdings

CAN = Feature(True, "on request")


class FakeWalk:
    """A kernel in which cgroup 7 holds three dentries."""

    failure: Exception | None = None
    longest_run, slab_pages, full, odd = 0.004, 5, 11, 2
    knows_page_tables = True
    open_walks = 0

    def __init__(self, root: Path) -> None:
        FakeWalk.open_walks += 1

    def __enter__(self) -> FakeWalk:
        return self

    def __exit__(self, *_: object) -> None:
        FakeWalk.open_walks -= 1

    def walk(self) -> Iterator[float]:
        yield 0.5
        if self.failure is not None:
            raise self.failure
        yield 1.0

    payer = 7

    def holdings(self) -> list[Chunk]:
        return holdings((self.payer, DENTRY, 3, 600), (0, DENTRY, 1, 192))

    def caches(self) -> list[Chunk]:
        return NAMES


@pytest.fixture(autouse=True)
def walk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every census is taken of the fake, and closes it."""
    monkeypatch.setattr(kernel, "Census", FakeWalk)
    yield
    assert FakeWalk.open_walks == 0


def test_before_the_first_nothing_is_known() -> None:
    """No rows, no age."""
    census = SlabCensus(CAN)
    assert census.of(7) is census.age() is census.state.age_seconds is None
    assert census.features() == {"slab_census": CAN}


def test_a_census_tells_rows_age_and_cost() -> None:
    """The very same rows until the next one; progress was told."""
    census, told = SlabCensus(CAN), list[float]()
    assert census.take([7, 8], told.append)
    assert told == [0.5, 1.0]
    slab = census.of(7)
    assert slab is not None
    assert slab.rows == (SlabRow("dentry", 3, 600, True),)
    assert census.of(7) is slab
    assert census.of(9) is None
    state = census.state
    assert state.nobody.rows == (SlabRow("dentry", 1, 192, True),)
    assert (state.longest_seconds, state.lost_bytes, state.odd_slabs) == (0.004, 11, 2)
    assert state.age_seconds is not None
    assert state.cost_seconds is not None
    assert state.slab_bytes % 5 == 0


@pytest.mark.parametrize("failure", [CensusError("too odd"), OSError(13, "denied")])
def test_a_failed_census_is_a_feature_that_is_off(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason; what was counted before is not shown as if it were new; the next may do."""
    census = SlabCensus(CAN)
    assert census.take([7])
    monkeypatch.setattr(FakeWalk, "failure", failure)
    assert not census.take([7])
    assert census.of(7) is census.age() is None
    assert not census.feature.enabled
    assert str(failure) in census.state.reason
    monkeypatch.setattr(FakeWalk, "failure", None)
    assert census.take([7])
    assert census.feature == CAN


def test_a_kernel_that_cannot_is_not_asked() -> None:
    """The reason stays the plan's."""
    census = SlabCensus(Feature(False, "no bpf_loop"))
    assert not census.take([7])
    assert census.state.reason == "no bpf_loop"


def test_objects_of_a_removed_cgroup_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next census meets them at the parent: the removed cgroup has none any more."""
    rig = Rig("/a", features={"slab_census": CAN})
    gone = rig.id("/a")
    monkeypatch.setattr(FakeWalk, "payer", gone)
    rig.collector.take_census()
    assert rig.row("/a").slab == rig.collector._census.of(gone)
    rig.tell(RMDIR, gone, "/a")
    assert rig.row("/a").slab is not None
    monkeypatch.setattr(FakeWalk, "payer", rig.id("/"))
    rig.collector.take_census()
    sample = rig.sample()
    above, below = rig.row("/", sample).slab, rig.row("/a", sample).slab
    assert above is not None
    assert below is not None
    assert (len(above.rows), len(below.rows)) == (1, 0)
