"""A Modeler's snapshots are those of the pure function, whatever happens between samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from memtrace.model.modeler import Modeler
from memtrace.model.snapshot import snapshot
from memtrace.samples import CgroupSample, Ledger, Memory, Sample, Swap
from tests.unit.model.builders import MIB, added, cgroup, driver, file, process, sample
from tests.unit.model.test_go import HEAP
from tests.unit.model.test_go import process as program
from tests.unit.model.test_properties import identities, ledgers, memories

MOST = 12  # cgroups

programs = st.integers(0, 1 << 40).map(lambda size: program(heap=HEAP._replace(mapped_bytes=size)))


@st.composite
def cgroups(draw: st.DrawFn, number: int) -> CgroupSample:
    """Any cgroup; its parent has a smaller number and may be missing."""
    return CgroupSample(
        number,
        draw(st.none() | st.integers(0, number - 1)),
        f"/{number}",
        draw(identities),
        draw(st.sampled_from(("running", "removed"))),
        draw(memories),
        draw(ledgers),
        go=draw(st.none() | st.lists(programs, max_size=2).map(tuple)),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Sample]:
    """Samples in turn. What does not change is shared, as the collector shares it."""
    living: dict[int, CgroupSample] = {}
    history = []
    mode = "v2"
    for step in range(draw(st.integers(2, 6))):
        for number in draw(st.sets(st.integers(1, MOST), max_size=5 if step else MOST)):
            living[number] = _next(draw, living.get(number), number)
        for number in draw(st.sets(st.sampled_from(sorted(living) or [0]), max_size=1)):
            living.pop(number, None)
        mode = draw(st.sampled_from((mode, mode, mode, "v1")))
        history.append(Sample(step, step * 2.0, "node", mode, "libbpf", _copies(living)))
    return history


def _next(draw: st.DrawFn, known: CgroupSample | None, number: int) -> CgroupSample:
    """A new cgroup, or one with something else about it: figures, rows, place or state."""
    new = draw(cgroups(number))
    if known is None:
        return new
    what = draw(st.sampled_from(("memory", "ledger", "parent_id", "state", "identity", "go")))
    return replace(known, **{what: getattr(new, what)})


def _copies(living: dict[int, CgroupSample]) -> tuple[CgroupSample, ...]:
    """The collector makes each CgroupSample anew around shared parts."""
    return tuple(replace(found) for _, found in sorted(living.items()))


@settings(deadline=None, max_examples=60)
@given(histories())
def test_every_snapshot_is_that_of_the_pure_function(history: list[Sample]) -> None:
    """Cgroups that appear, vanish, change, move, and stay as they are."""
    modeler, previous = Modeler(), None
    for now in history:
        elapsed = None if previous is None else now.monotonic - previous.monotonic
        assert modeler.snapshot(now) == snapshot(now, previous, elapsed)
        previous = now


def _tree(busy: int = 0) -> Iterator[CgroupSample]:
    """Two groups of two cgroups; the last one has written `busy` bytes."""
    yield cgroup(1, path="/", memory=Memory(usage_bytes=busy))
    for number, parent in ((2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3)):
        amount = 10 + (busy if number == 7 else 0)
        ledger = Ledger(
            added=added(write=amount),
            baseline_bytes=0,
            drivers=(driver(amount, tgid=number),),
            files=(file(amount),),
            processes=(process(amount, tgid=number),),
        )
        yield cgroup(number, parent, ledger=ledger)


def test_what_did_not_change_is_the_same_object() -> None:
    """So that a view can tell at no cost; the changed one and all above it are new."""
    modeler = Modeler()
    for _ in range(2):
        modeler.snapshot(sample(*_tree()))
    before = modeler.snapshot(sample(*_tree()))
    after = modeler.snapshot(sample(*_tree(busy=5)))
    pairs = zip(before.containers, after.containers, strict=True)
    fresh = [new.source.cgroup_id for old, new in pairs if new is not old]
    assert fresh == [1, 3, 7]


def test_what_is_free_on_the_machine_changes_no_container() -> None:
    """Free memory and swap move with every sample: only a shortage is anything to a container."""
    modeler = Modeler()
    size, free = 8192 * MIB, 3000 * MIB
    root = Memory(inactive_file_bytes=0)
    made = [
        replace(
            sample(cgroup(1, path="/", memory=root), *list(_tree())[1:]),
            machine_bytes=size,
            machine_free_bytes=left,
            swap=Swap(1024 * MIB, used * MIB),
        )
        for left, used in (*[(free, 10)] * 3, (free - 4096, 11), (MIB, 11))
    ]
    *_, before, after, short = [modeler.snapshot(each).containers for each in made]
    assert [old is new for old, new in zip(before, after, strict=True)] == [True] * 7
    assert [old is new for old, new in zip(after, short, strict=True)] == [False] * 7


def test_deltas_return_to_zero_once_it_is_quiet() -> None:
    """A change counts in one snapshot only, although nothing changes after it."""
    modeler = Modeler()
    deltas = [
        modeler.snapshot(sample(*_tree(busy))).containers[0].page_cache.added_delta_bytes
        for busy in (0, 5, 5, 5)
    ]
    assert deltas == [None, 5, 0, 0]
