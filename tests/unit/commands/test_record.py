"""`memtrace record` around a source of samples made by hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from memtrace.commands import main, record
from memtrace.samples import Sample
from memtrace.store.reader import Recording
from memtrace.store.writer import Writer
from tests.unit.views.screen.scenes import node

RUN = record.run


class FakeLive:
    """Samples as fast as asked for; the clock goes on by an interval at each."""

    def __init__(self, interval: float = 1.0, stop_after: int | None = None) -> None:
        self._interval, self._stop_after = interval, stop_after
        self.taken: list[Sample] = []
        self.opened = False
        self.on_progress: object = None
        self.on_census: object = None
        self.watched: list[tuple[frozenset[str], frozenset[int] | None]] = []

    @contextmanager
    def open(self, root: Path, engine: str, baseline: bool) -> Iterator[FakeLive]:
        self.opened = True
        yield self

    def sample(self) -> Sample:
        step = len(self.taken)
        made = replace(node(step), monotonic=step * self._interval)
        self.taken.append(made)
        if self._stop_after == step + 1:
            os.kill(os.getpid(), signal.SIGINT)
        return made

    def wait(self, seconds: float, also: int | None = None) -> bool:
        return False

    def watch(self, names: frozenset[str], cgroup_ids: frozenset[int] | None) -> None:
        self.watched.append((names, cgroup_ids))

    def request_baseline(self) -> None:
        raise AssertionError("nobody asked for it")

    def stop(self) -> None:
        """Told that a signal came."""


def run(monkeypatch: pytest.MonkeyPatch, live: FakeLive, *arguments: str) -> int:
    """Run the command line with this source in place of the kernel, without its waits."""
    monkeypatch.setattr(record, "run", lambda options: RUN(options, live.open))
    monkeypatch.setattr("memtrace.commands.top.next_tick", lambda passed, interval: 0.0)
    return main.main(["record", *arguments])


def recorded(path: Path) -> list[Sample]:
    """All samples of a file."""
    with Recording(path) as recording:
        return [recording.sample(index) for index in range(len(recording.moments))]


@pytest.mark.parametrize("words", [("FILE", "1", "--for", "10s"), ("--for", "10s", "FILE", "1"),
                                   ("FILE", "--for", "10s", "1")])  # fmt: skip
def test_it_ends_after_the_time_given(
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From the first sample to the last; what was written is said, and is there."""
    path, live = tmp_path / "r", FakeLive()
    assert run(monkeypatch, live, *(str(path) if w == "FILE" else w for w in words)) == 0
    assert len(live.taken) == 11
    assert recorded(path) == live.taken
    out, err = capsys.readouterr()
    assert out.startswith(f"{path}: 11 samples of 0:10, ")
    assert out.endswith(f"; look at it with: memtrace replay {path}\n")
    assert err == ""


def test_what_is_watched_is_watched_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From before the first sample; nothing unless asked for."""
    for arguments, watched in ((("--watch", "slab"), [(frozenset({"slab"}), None)]), ((), [])):
        live = FakeLive(stop_after=2)
        assert run(monkeypatch, live, str(tmp_path / str(len(arguments))), *arguments) == 0
        assert live.watched == watched


def test_ctrl_c_ends_it_cleanly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 0, one closed file with all that was sampled."""
    live = FakeLive(stop_after=7)
    assert run(monkeypatch, live, str(tmp_path / "r")) == 0
    assert recorded(tmp_path / "r") == live.taken
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("there", ["r", "r-wal"])
def test_it_writes_over_nothing(
    there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1 before the kernel is touched."""
    (tmp_path / there).write_text("mine")
    live = FakeLive()
    assert run(monkeypatch, live, str(tmp_path / "r")) == 1
    assert not live.opened
    assert (tmp_path / there).read_text() == "mine"
    assert capsys.readouterr().err.startswith(f"memtrace: {tmp_path / there} exists already; ")


def test_a_full_disk_ends_it_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1; what was written stays readable, and is said."""
    written = Writer._write

    def full(writer: Writer, moment: tuple[float, ...], piece: bytes) -> None:
        if moment[0] > 5:
            raise_full()
        written(writer, moment, piece)

    def raise_full() -> None:
        from memtrace.store.errors import StoreError

        raise StoreError("writing r failed: database or disk is full.")

    monkeypatch.setattr(Writer, "_write", full)
    assert run(monkeypatch, FakeLive(), str(tmp_path / "r")) == 1
    out, err = capsys.readouterr()
    assert err == "memtrace: writing r failed: database or disk is full.\n"
    assert "5 samples" in out
    assert len(recorded(tmp_path / "r")) == 5


def test_nothing_is_left_when_nothing_was_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source fails at once: no empty file."""
    live = FakeLive()
    monkeypatch.setattr(live, "sample", lambda: 1 / 0)
    assert run(monkeypatch, live, str(tmp_path / "r")) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["r", "0"], 2),
        (["r", "soon"], 2),
        (["r", "--for", "soon"], 2),
        (["r", "--for", "10x"], 2),
        (["r", "--root", "/no/such/directory"], 2),
        (["/no/such/directory/r"], 1),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On stderr, with an exit code, and no file."""
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, FakeLive(), *arguments) == code
    err = capsys.readouterr().err
    assert (err.count("\n"), list(tmp_path.iterdir())) == (1, [])
    assert err.startswith("memtrace: ")


def test_top_and_the_kernel_do_without_sqlite() -> None:
    """1.6 MB that only recordings need."""
    code = (
        "import sys; from memtrace.commands import main\n"
        "main._parser(list(main.COMMANDS)); import memtrace.collect.live, memtrace.views.json\n"
        "assert not {'sqlite3', 'memtrace.store.layout'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
