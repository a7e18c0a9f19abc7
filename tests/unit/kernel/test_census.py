"""The census fails closed: an unlikely kernel is refused in a sentence, nothing is counted."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memtrace.kernel import census, wire
from memtrace.kernel.census import Census, CensusError

BASE = 0xFFFFEA0000000000
NUMBER = 1234
SPAN = range(16, 16 + 100_000)
STEP = 30_000


class FakeObject:
    """Programs that answer like the kernel's; what differs is set by a test."""

    size = 64
    address = BASE + NUMBER * 64
    step = STEP
    slab_pages = 10
    closed = False

    def __init__(self) -> None:
        self.runs: list[tuple[int, int, int]] = []

    def load(self) -> None: ...

    def run(self, program: str, context: bytearray) -> int:
        if program == "find_page":
            fd, *_ = wire.FIND_PAGE.unpack(context)
            context[:] = wire.FIND_PAGE.pack(fd, self.size, self.address, 1)
            return 0
        vmemmap, page, end, time, *_ = wire.CENSUS.unpack(context)
        self.runs.append((vmemmap, page, end))
        reached = min(page + self.step, end)
        context[:] = wire.CENSUS.pack(vmemmap, reached, end, time, self.slab_pages, 7, 1, 0)
        return 0

    def close(self) -> None:
        self.closed = True


Start = Callable[..., tuple[Census, FakeObject]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """A census on a made-up machine."""

    def started(
        number: int = NUMBER, vmstat: int = 20, **changed: Any
    ) -> tuple[Census, FakeObject]:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc/zoneinfo").write_text(
            f"        spanned  {len(SPAN)}\n  start_pfn: {SPAN.start}\n"
        )
        (tmp_path / "proc/vmstat").write_text(
            f"nr_slab_reclaimable {vmstat}\nnr_slab_unreclaimable 0\n"
        )
        fake = FakeObject()
        for name, value in changed.items():
            setattr(fake, name, value)
        monkeypatch.setattr(census.BpfObject, "open", lambda *_: fake)
        monkeypatch.setattr(census, "_page_number", lambda memory: number)
        return Census(tmp_path), fake

    return started


def test_every_page_is_walked_once(start: Start) -> None:
    """Each run goes on where the one before ended; what is done is told."""
    taken, fake = start()
    told = list(taken.walk())
    assert [(page, end) for _, page, end in fake.runs] == [
        (page, SPAN.stop) for page in range(SPAN.start, SPAN.stop, STEP)
    ]
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert {vmemmap for vmemmap, _, _ in fake.runs} == {BASE}
    assert (taken.slab_pages, taken.full, taken.odd, taken.runs) == (40, 28, 4, 4)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"size": 56}, "56 bytes"),
        ({"address": 0}, "known page"),
        ({"address": BASE + NUMBER * 64 + 64}, "not where they were expected"),
        ({"step": 0}, "does not get on"),
        ({"slab_pages": 1, "vmstat": 1000}, "4 pages of slab where the kernel has 1000"),
    ],
)
def test_an_unlikely_kernel_is_refused(start: Start, changed: dict[str, int], words: str) -> None:
    """Another layout, another place, another array: a sentence, never a wrong count."""
    taken, _ = start(**changed)
    with pytest.raises(CensusError, match=words):
        list(taken.walk())


def test_without_page_numbers_a_small_machine_will_do(start: Start) -> None:
    """Up to 64 GiB the array has only one place; beyond, the number of a page is needed."""
    taken, fake = start(number=0)
    list(taken.walk())
    assert fake.runs[0][0] == BASE


def test_without_page_numbers_a_large_machine_is_refused(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says which privilege is missing."""
    taken, _ = start(number=0)
    monkeypatch.setattr(census, "page_spans", lambda _: (range(1 << 25),))
    with pytest.raises(CensusError, match="CAP_SYS_ADMIN"):
        list(taken.walk())


def test_without_zones_nothing_is_walked(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A /proc/zoneinfo that says nothing."""
    taken, fake = start()
    monkeypatch.setattr(census, "page_spans", lambda _: ())
    with pytest.raises(CensusError, match="zoneinfo"):
        list(taken.walk())
    assert not fake.runs


def test_a_page_number_is_a_number_or_unknown() -> None:
    """Unprivileged, the kernel says 0."""
    with mmap.mmap(-1, mmap.PAGESIZE) as memory:
        memory[0] = 1
        assert census._page_number(memory) >= 0
