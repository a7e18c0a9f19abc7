"""Who holds a Go heap: stacks of the profile by their functions, or the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from memtrace.collect import go_heap
from memtrace.collect.go_heap import heap_functions
from memtrace.collect.go_memory import GoMemory
from memtrace.golang.heap_profile import HeapProfile, Held, SwitchedOffError
from memtrace.golang.refusal import Refusal, State
from memtrace.samples import GoHeapFunctions, GoProcess

PROCESS = GoProcess(7, 1, "app", "go")
NAMES = {
    1: "main.load",
    2: "main.main",
    3: "runtime.main",
    4: "runtime.mallocgc",
    5: "bufio.NewReaderSize",
    6: "",
}


class Memory:
    """A process with these stacks, or with what reading them raises."""

    def __init__(self, *held: Held, error: Refusal | None = None, complete: bool = True) -> None:
        self._profile = HeapProfile(512 << 10, held, complete)
        self._error = error
        self.gone = False

    def heap_profile(self) -> HeapProfile:
        """What is read."""
        if self._error is not None:
            raise self._error
        return self._profile

    def ended(self) -> bool:
        """Whether the process ended while it was read."""
        return self.gone


class Names:
    """Stands for CodeNames."""

    def __init__(self, root: Path, _most: int) -> None:
        self.root = root

    def frames(self, _process: tuple[int, int, None], pcs: Sequence[int]) -> tuple[str, ...]:
        """By the table above."""
        return tuple(NAMES[pc] for pc in pcs)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is looked at."""
    monkeypatch.setattr(go_heap, "CodeNames", Names)


def found(memory: Memory | None, process: GoProcess = PROCESS) -> GoHeapFunctions:
    """What is said of one process."""
    pair = process, cast("GoMemory | None", memory)
    return heap_functions(Path("/nowhere"), [pair])[process.pid]


def test_stacks_of_the_same_functions_are_one_row() -> None:
    """The largest first, with the frames of the larger stack; a library's are in those only."""
    heap = found(
        Memory(Held((1, 2, 3), 2, 200), Held((4, 1, 1, 2), 3, 300), Held((5, 2), 1, 700)),
    )
    assert heap.rows == (
        ("main.main", ("bufio.NewReaderSize", "main.main"), 700, 1),
        ("main.load <- main.main", ("main.load", "main.main"), 500, 5),
    )
    assert (heap.other_bytes, heap.reason) == (0, "")


def test_the_runtimes_own_stacks_have_its_names() -> None:
    """What has no name at all is nobody's."""
    heap = found(Memory(Held((4, 3), 1, 9), Held((3,), 1, 8), Held((6,), 1, 7)))
    assert heap.rows is not None
    assert [row.function for row in heap.rows] == ["runtime.mallocgc", "runtime.main", None]


def test_only_the_largest_stacks_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others hold is in the sum; a profile that was not read to its end says so."""
    monkeypatch.setattr(go_heap, "NAMED", 1)
    heap = found(Memory(Held((1,), 1, 10), Held((2,), 1, 30), complete=False))
    assert heap.rows == (("main.main", ("main.main",), 30, 1),)
    assert heap.other_bytes == 10
    assert heap.reason == "only a part of its heap profile was read: the newest 50000 call stacks"


def test_what_cannot_be_told_has_a_reason() -> None:
    """Not found, switched off, ended before or while it was read, or never observed."""
    refusal = Refusal(State.IMPLAUSIBLE, "the heap profile's list leads nowhere")
    assert found(Memory(error=refusal)) == (None, None, refusal.reason)
    off = found(Memory(error=SwitchedOffError(State.IMPLAUSIBLE, "off")))
    assert off.reason.endswith("its runtime.MemProfileRate is 0")
    memory = Memory(Held((1,), 1, 10))
    memory.gone = True
    ended = "the process ended before its heap profile was read"
    assert found(memory) == found(None) == (None, None, ended)
    old = GoProcess(7, 1, "app", "version only", "go1.17 is not observed")
    assert found(None, old) == (None, None, "go1.17 is not observed")


def test_an_empty_profile_is_no_rows() -> None:
    """Nothing was sampled yet: that is known."""
    assert found(Memory()) == ((), 0, "")
