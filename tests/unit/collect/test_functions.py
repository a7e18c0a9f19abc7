"""Stacks named aside: what hangs stops nobody, names to come are fetched, and memory is bounded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from memtrace.collect.watches import telling
from memtrace.collect.watches.code import CodeNames, Process
from memtrace.collect.watches.functions import Functions
from memtrace.collect.watches.stacks import Place, StackTable
from memtrace.kernel import wire
from memtrace.samples import Feature
from tests.unit.collect import records

PAGE = 4096


class Watch:
    """Stands for StackWatch."""

    feature = Feature(True)
    armed = True

    def __init__(self) -> None:
        self.table = StackTable()

    def gather(self) -> None:
        """Nothing new by itself."""

    def disarm(self) -> None:
        """Forget what was counted."""
        self.table.clear()

    def sample(self, cgroup: int, *pcs: int, pages: int = 64, pid: int = 7) -> None:
        """One stack."""
        packed = b"".join(pc.to_bytes(8, "little") for pc in pcs)
        place = Place(cgroup, records.file(1), wire.PROCESS.pack(pid, 9), 1, packed)
        self.table.add(place, pages, 1, 0x401000)


class Names:
    """Stands for CodeNames: a name for each address, while `open` is set."""

    made: Names

    def __init__(self, _root: Path) -> None:
        Names.made = self
        self.open = threading.Event()
        self.open.set()
        self.complete, self.full = True, False
        self.closed = threading.Event()
        self.asked: list[int] = []
        self.thread = ""
        self.forgotten = 0

    def begin(self, _seconds: float) -> None:
        """Another round."""

    def frames(self, _process: Process, pcs: Sequence[int]) -> tuple[str, ...]:
        """main.<address> each."""
        self.thread = threading.current_thread().name
        self.open.wait(20)
        self.asked.append(len(pcs))
        return tuple(f"main.{pc:x}" for pc in pcs)

    def forget(self) -> None:
        """Give up all names."""
        self.forgotten += 1

    def close(self) -> None:
        """Give descriptors back."""
        self.closed.set()


@pytest.fixture
def watch() -> Watch:
    """A watch that was armed."""
    return Watch()


@pytest.fixture
def functions(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Functions]:
    """With names that come at once."""
    monkeypatch.setattr(telling, "CodeNames", Names)
    made = Functions(watch, Path("/"), lambda _process: "app", PAGE)  # type: ignore[arg-type]
    yield made
    made.disarm()


def until_named(functions: Functions, cgroup: int = 3) -> tuple[str, ...]:
    """The functions of a cgroup's rows, once there are any."""
    for _ in range(100):
        functions.gather()
        if functions.of(cgroup):
            break
        time.sleep(0.05)
    return tuple(row.function or "" for row in functions.of(cgroup) or ())


def test_names_are_found_on_another_thread(functions: Functions, watch: Watch) -> None:
    """Of the innermost sixteen calls, those that move most first."""
    watch.sample(3, *range(1, 49), pages=64)
    watch.sample(3, 0x99, pages=640)
    assert until_named(functions) == ("main.99", "main.1 <- main.2 <- main.3")
    assert Names.made.asked == [1, 16]
    assert Names.made.thread != threading.current_thread().name
    assert functions.changed == {3}


def test_a_file_system_that_never_answers_stops_nobody(
    functions: Functions, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was told stays, and the feature says why there is nothing new."""
    watch.sample(3, 1)
    assert until_named(functions) == ("main.1",)
    Names.made.open.clear()
    watch.sample(3, 2)
    began = time.monotonic()
    for _ in range(20):
        functions.gather()
    assert time.monotonic() - began < 5
    assert [row.function for row in functions.of(3) or ()] == ["main.1"]
    assert functions.feature.enabled
    monkeypatch.setattr("memtrace.collect.watches.functions.STUCK_SECONDS", 0.0)
    assert not functions.feature.enabled
    assert "does not answer" in functions.feature.reason
    Names.made.open.set()
    for _ in range(100):
        functions.gather()
        if len(functions.of(3) or ()) == 2:
            break
        time.sleep(0.05)
    assert {row.function for row in functions.of(3) or ()} == {"main.1", "main.2"}


def test_what_hangs_gives_its_files_back_when_it_ends(functions: Functions, watch: Watch) -> None:
    """Nobody waits for it, and a cgroup that went meanwhile does not come back."""
    watch.sample(3, 1)
    until_named(functions)
    hanging = Names.made
    hanging.open.clear()
    watch.sample(3, 2)
    functions.gather()
    functions.disarm()
    assert not hanging.closed.is_set()
    watch.sample(4, 1)
    assert until_named(functions, 4) == ("main.1",)
    hanging.open.set()
    assert hanging.closed.wait(10)
    assert functions.of(3) == ()


def test_names_to_come_are_asked_for_again(functions: Functions, watch: Watch) -> None:
    """Without anything new; and never of a cgroup that is gone."""
    watch.sample(3, 1)
    watch.sample(4, 1)
    until_named(functions)
    Names.made.complete = False
    watch.sample(3, 2)
    until_named(functions)
    asked = len(Names.made.asked)
    functions.gather()
    time.sleep(0.2)
    functions.gather()
    assert len(Names.made.asked) > asked
    functions.forget(3)
    Names.made.complete = True
    for _ in range(3):
        functions.gather()
        time.sleep(0.05)
    assert functions.of(3) == ()
    assert functions.of(4) != ()


def test_names_without_room_are_given_up_together(functions: Functions, watch: Watch) -> None:
    """At the next news, and then every cgroup is named anew."""
    watch.sample(3, 1)
    watch.sample(4, 1)
    until_named(functions)
    Names.made.full = True
    watch.sample(4, 2)
    until_named(functions)
    functions.gather()
    assert Names.made.forgotten == 0
    watch.sample(4, 3)
    for _ in range(100):
        functions.gather()
        if Names.made.forgotten:
            break
        time.sleep(0.05)
    assert until_named(functions, 3) == ("main.1",)


def test_the_largest_are_named_first_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So whoever makes many small ones does not take the time of others."""
    asked: list[int] = []
    monkeypatch.setattr(
        CodeNames, "frames", lambda _self, process, pcs: asked.append(pcs[0]) or ("",)
    )
    watch = Watch()
    for number in range(1, 30):
        watch.sample(number % 3, number, pages=number)
    one = telling.Telling(tmp_path, PAGE)
    one.start({0, 1, 2}, watch.table.items(None), afresh=False)
    told = one.take(10)
    one.close()
    assert told is not None
    assert asked == list(range(29, 0, -1))
    assert [sum(amounts[0] for _, amounts in told.stacks[key]) for key in range(3)] == [
        PAGE * sum(range(key or 3, 30, 3)) for key in range(3)
    ]
