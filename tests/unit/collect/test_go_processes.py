"""Go processes below a made-up root: what is told while a file system does not answer."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from memtrace.collect import go_finder, go_processes
from memtrace.collect.go_collections import GoCollections
from memtrace.collect.go_cycles import GoCycle
from memtrace.collect.go_processes import GoProcesses, added
from memtrace.golang.binary import GoBinary
from memtrace.golang.refusal import State
from memtrace.host.hierarchy import Hierarchy
from memtrace.samples import Feature, GoCycles, GoProcess


def test_a_file_system_that_hangs_delays_no_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples go on, it is said after a while, and over once it answers."""
    answer, asked = threading.Event(), threading.Event()

    def inspect(_fd: int) -> GoBinary:
        asked.set()
        answer.wait(10)
        return GoBinary(State.NOT_GO)

    monkeypatch.setattr(go_finder, "inspect", inspect)
    monkeypatch.setattr(go_processes, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(go_processes, "STUCK_SECONDS", 0.0)
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "program").write_text("x")
    (tmp_path / "proc/7/exe").symlink_to(tmp_path / "program")
    hierarchy = Hierarchy("v2", tmp_path, 0, 2)
    found = GoProcesses(tmp_path, hierarchy, "/", Feature(True), GoCollections(Feature(False)))
    for moment in (1.0, 2.0, 3.0):
        found.look(moment)
    assert asked.wait(5)
    assert "does not answer" in found.features()["go_processes"].reason
    answer.set()
    monkeypatch.setattr(go_processes, "PATIENCE_SECONDS", 5.0)
    found.look(4.0)
    assert found.features()["go_processes"].enabled
    found.close()


def test_what_could_not_be_read_anew_is_told_with_its_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that hangs leaves the figures of the one before, which get older."""
    row = GoProcess(7, 1, "app", "go", "", "go1.25.5", "app", True, "", None, None, 0.0, None)
    hierarchy = Hierarchy("v2", tmp_path, 0, 2)
    found = GoProcesses(tmp_path, hierarchy, "/", Feature(True), GoCollections(Feature(False)))
    end = threading.Event()

    def look(now: float, *_: object) -> object:
        if now > 1.0:
            end.wait(10)
        return go_processes._Seen(now, {3: (row,)}, {})

    monkeypatch.setattr(found, "_look", look)
    monkeypatch.setattr(go_processes, "MOST_SECONDS", 5.0)
    assert found.look(1.0, thorough=True)
    assert [one.age_seconds for one in found.of(3)] == [0.0]
    monkeypatch.setattr(go_processes, "PATIENCE_SECONDS", 0.01)
    for moment in (2.0, 5.0):
        assert not found.look(moment)
        assert [one.age_seconds for one in found.of(3)] == [moment - 1.0]
    end.set()
    assert found.look(6.0, thorough=True)
    assert [one.age_seconds for one in found.of(3)] == [0.0]


def cycle(assist: int | None) -> GoCycle:
    """A collection of two processors: 1 ms of pauses, 4 ms dedicated."""
    milli = 1_000_000
    now = time.monotonic_ns()
    return GoCycle(
        b"", 1, now, now + 9 * milli, milli // 2, milli // 2, 5, assist, 4 * milli, 0, 0,
        controller=1, trigger="forced", procs=2, binary=1,
    )  # fmt: skip


def test_collections_add_up() -> None:
    """CPU time is marking and all processors in the pauses."""
    both = added(added(GoCycles(), cycle(0)), cycle(1_000_000))
    assert (both.cycles, both.forced) == (2, 2)
    assert both.cpu_seconds == pytest.approx(0.006 + 0.007)
    assert both.assist_seconds == pytest.approx(0.001)
    assert both.pause_seconds == pytest.approx(0.002)


def test_times_that_one_collection_did_not_tell_are_unknown() -> None:
    """Not zero: the sum of the others would pass for all."""
    both = added(added(GoCycles(), cycle(None)), cycle(0))
    assert both.cpu_seconds is both.assist_seconds is None
    assert both.cycles == 2
