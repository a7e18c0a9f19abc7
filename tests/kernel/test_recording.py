"""Recordings of this machine: what replay shows is what was seen, and what the kernel counted."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from memtrace.collect.opening import open_live
from memtrace.model.modeler import Modeler
from memtrace.store.errors import StoreError
from memtrace.store.reader import Recording
from memtrace.store.writer import Writer
from memtrace.views.json import Renderer
from tests.kernel.harness.files import PAGE, cached_pages
from tests.kernel.harness.memtrace import PROGRAM, Snapshot
from tests.kernel.harness.mounted import mounted
from tests.kernel.harness.room import Rooms

PAGES = 307
SAMPLES = 6


def replayed(path: Path) -> list[bytes]:
    """The lines of `memtrace replay --json`."""
    command = [PROGRAM, "replay", path, "--json"]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout.splitlines()


class Recorder:
    """A running `memtrace record`."""

    def __init__(self, path: Path, *arguments: str) -> None:
        command = [PROGRAM, "record", path, *arguments]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
        self._path = path

    def wait_for_samples(self, count: int) -> None:
        """Wait until so many more are in the file."""
        before, deadline = self._samples(), time.monotonic() + 40
        while self._samples() < before + count:
            assert self._process.poll() is None, self._process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def end(self, number: int | None = signal.SIGINT) -> tuple[int, str, str]:
        """Send a signal; return exit code and what was said."""
        if number is not None:
            self._process.send_signal(number)
        out, err = self._process.communicate(timeout=60)
        return self._process.returncode, out, err

    def _samples(self) -> int:
        try:
            with Recording(self._path) as recording:
                return len(recording.moments)
        except StoreError:  # just being made
            return 0


def test_replay_prints_what_was_seen_live(rooms: Rooms, disk: Path) -> None:
    """The same samples of this kernel, live and from the file: the same lines."""
    room, path = rooms.open("recorded"), disk / "same.mtr"
    writer, modeler, renderer, live = Writer(path, "boot"), Modeler(), Renderer(), []
    with open_live() as source:
        for number in range(SAMPLES):
            room.run("write", room.path(f"file-{number}"), PAGES, PAGE)
            sample = source.sample()
            writer.append(sample)
            live.append(renderer.render(modeler.snapshot(sample)).encode())
            source.wait(0.3)
    writer.close()
    assert replayed(path) == live


def test_a_recording_tells_what_a_workload_wrote(rooms: Rooms, disk: Path) -> None:
    """To the page; Ctrl-C leaves one file, none of it in the page cache."""
    room, path = rooms.open("told"), disk / "told.mtr"
    recorder = Recorder(path, "0.5", "--state-dir", str(disk / "state"))
    recorder.wait_for_samples(2)
    room.run("write", room.path("written"), PAGES, PAGE)
    recorder.wait_for_samples(2)
    code, out, err = recorder.end()
    assert (code, err) == (0, "")
    assert f"memtrace replay {path}" in out
    assert list(disk.glob("told.mtr*")) == [path]
    assert cached_pages(path) == 0
    last = Snapshot(replayed(path)[-1]).row(room.cgroup.path)
    assert last.io("write") == PAGES * PAGE
    assert last.driven(path=str(room.path("written")), kind="write") == PAGES * PAGE


def test_a_killed_recording_is_read(disk: Path) -> None:
    """Every sample that was in it."""
    recorder = Recorder(disk / "killed.mtr", "0.2", "--state-dir", str(disk / "state"))
    recorder.wait_for_samples(5)
    before = len(replayed(disk / "killed.mtr"))
    recorder.end(signal.SIGKILL)
    assert len(replayed(disk / "killed.mtr")) >= before


def test_a_full_disk_ends_it_and_spares_what_was_written(disk: Path) -> None:
    """Exit 1, one sentence; the samples before are read."""
    with mounted("tmpfs", disk / "small") as place:
        subprocess.run(["mount", "-o", "remount,size=400k", place], check=True)
        recorder = Recorder(place / "r.mtr", "0.1", "--state-dir", str(disk / "state"))
        code, out, err = recorder.end(None)
        assert code == 1
        assert err == f"memtrace: writing {place}/r.mtr failed: database or disk is full.\n"
        written = int(out.split(": ")[1].split()[0])
        assert len(replayed(place / "r.mtr")) == written > 0
