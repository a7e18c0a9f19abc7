"""The real screen in a real terminal beside real I/O: what it shows, and how it leaves."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kernel.harness.bpf import existing, held_by
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import PROGRAM
from tests.kernel.harness.room import Room, Rooms
from tests.outcomes import unavailable

PAGES = 1024  # 4.0M
WRITTEN = "4.0M"
PATIENCE = 30.0

_numbers = itertools.count(1)


class Tmux:
    """A terminal in which memtrace runs; what is on it can be read back."""

    def __init__(self, width: int, height: int, *arguments: str, term: str = "") -> None:
        """Start `memtrace top` with these arguments."""
        if not shutil.which("tmux"):
            unavailable("tmux is not installed")
        self._socket = f"memtrace-test-{os.getpid()}-{time.monotonic_ns()}"
        program = " ".join([f"TERM={term}" if term else "", PROGRAM, "top", *arguments])
        shell = f"{program}; echo ended with $?; stty -a | grep -ow -- 'echo'; exec sleep 1000"
        size = ("-x", str(width), "-y", str(height))
        self._run("-f", "/dev/null", "new-session", "-d", *size, shell)

    def __enter__(self) -> Tmux:
        return self

    def __exit__(self, *_: object) -> None:
        self._run("kill-server", check=False)

    def press(self, *keys: str) -> None:
        """Press keys, by tmux' names of them."""
        self._run("send-keys", *keys)

    def resize(self, width: int, height: int) -> None:
        """Change the terminal's size."""
        self._run("resize-window", "-x", str(width), "-y", str(height))

    def text(self) -> list[str]:
        """What is on the terminal."""
        return self._run("capture-pane", "-p").splitlines()

    def wait_for(self, what: str | Callable[[list[str]], bool]) -> list[str]:
        """Wait until a text, or what a function looks for, is on the terminal."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            lines = self.text()
            found = what in "\n".join(lines) if isinstance(what, str) else what(lines)
            if found:
                return lines
            time.sleep(0.1)
        raise AssertionError(f"{what} not on screen:\n" + "\n".join(lines))

    def memtrace(self) -> int:
        """The process id of memtrace."""
        shell = int(self._run("display-message", "-p", "#{pane_pid}"))
        children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        return int(children[0])

    def is_alternate(self) -> bool:
        """Whether a program shows a screen of its own."""
        return self._run("display-message", "-p", "#{alternate_on}").strip() == "1"

    def _run(self, *command: str, check: bool = True) -> str:
        tmux = ["tmux", "-L", self._socket, *command]
        return subprocess.run(tmux, capture_output=True, text=True, check=check).stdout


@pytest.fixture
def room(rooms: Rooms) -> Room:
    """A cgroup of its own for every test."""
    return rooms.open(f"screen-{next(_numbers)}")


def _name(room: Room) -> str:
    return room.cgroup.path.rpartition("/")[2]


def test_what_was_written_is_on_screen(room: Room) -> None:
    """The container, how much it wrote, with what, into which file; to the page."""
    with Tmux(120, 40, "0.5") as tmux:
        tmux.wait_for("CONTAINER")
        room.run("write", room.path("written"), PAGES, PAGE)
        tmux.press("f", _name(room), "Enter")
        lines = tmux.wait_for(lambda shown: any("write by write" in line for line in shown[3:5]))
        assert f"filter: {_name(room)}" in lines[0]
        assert WRITTEN in lines[3].split()
        tmux.press("Enter")
        lines = tmux.wait_for("[1 Causes]")
        (row,) = [line for line in lines[7:] if line.rstrip().endswith("/written")][:1]
        assert row.split()[0] == WRITTEN
        assert row.split()[2:4] == ["write", "write"]  # how, and by which process
        assert f"write by write -> {room.path('written')}" in "\n".join(lines)
        tmux.press("2")
        lines = tmux.wait_for("[2 Files]")
        assert any(WRITTEN in line.split() and "/written" in line for line in lines[7:])
        tmux.press("Escape")
        tmux.wait_for("Enter look inside")
        tmux.press("q")
        tmux.wait_for("ended with 0")


def test_more_is_attached_while_a_container_is_open(room: Room) -> None:
    """Who touches and who dirties its cache is watched inside, and not any more outside."""
    with Tmux(120, 40, "0.5") as tmux:
        tmux.wait_for("CONTAINER")
        room.run("write", room.path("open"), PAGES, PAGE)
        tmux.press("f", _name(room), "Enter")
        tmux.wait_for(lambda shown: any("write by write" in line for line in shown[3:5]))
        outside = _attached(tmux)
        tmux.press("Enter")
        tmux.wait_for("[1 Causes]")
        _wait_until(lambda: _attached(tmux) > outside)
        with room.path("open").open("rb") as file:  # the test itself lives in another cgroup
            assert file.read()
        tmux.press("2")
        tmux.wait_for("also read by")
        tmux.press("Escape")
        _wait_until(lambda: _attached(tmux) == outside)
        tmux.press("q")
        tmux.wait_for("ended with 0")


def _attached(tmux: Tmux) -> int:
    """How many programs memtrace has attached."""
    found = 0
    for entry in Path(f"/proc/{tmux.memtrace()}/fdinfo").iterdir():
        with suppress(OSError):  # closed meanwhile
            found += "link_type:" in entry.read_text()
    return found


def _wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _is_whole(lines: list[str], height: int) -> bool:
    """Heading first, titles third, keys last."""
    return (
        len(lines) == height
        and lines[0].startswith("memtrace on ")
        and lines[2].startswith("CONTAINER")
        and lines[-1].startswith("Enter look inside")
    )


def test_it_fits_after_every_resize() -> None:
    """Heading first, keys last, nothing beyond the edge."""
    with Tmux(80, 24, "1") as tmux:
        tmux.wait_for("CONTAINER")
        for width, height in ((200, 50), (60, 16), (120, 40), (80, 24)):
            tmux.resize(width, height)
            lines = tmux.wait_for(lambda shown, height=height: _is_whole(shown, height))
            assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize(
    ("how", "term"),
    [
        ("q", ""),
        ("C-c", "vt100"),
        (signal.SIGTERM, ""),
        (signal.SIGINT, "linux"),
        ("q", "xterm-mono"),
    ],
)
def test_it_leaves_the_terminal_and_the_kernel_as_they_were(
    how: str | signal.Signals, term: str
) -> None:
    """Exit 0, no screen of its own, echo on, and no program of it attached."""
    with Tmux(80, 24, "1", term=term) as tmux:
        tmux.wait_for("CONTAINER")
        held = held_by(tmux.memtrace())
        assert {kind for kind, _ in held} == {"prog", "map", "link"}
        assert tmux.is_alternate()
        if isinstance(how, str):
            tmux.press(how)
        else:
            os.kill(tmux.memtrace(), how)
        lines = tmux.wait_for("ended with 0")
        tmux.wait_for("echo")
        assert lines[0].startswith("ended with 0"), lines
        assert not tmux.is_alternate()
        deadline = time.monotonic() + 5
        while held & existing() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not held & existing()


def test_hostile_cgroup_and_file_names_stay_in_their_row(room: Room) -> None:
    """Escape sequences, tabs, markup, right-to-left and wide letters, as names on disk."""
    name = "\x1b[2J\x1b[9;9Hx\t[bold]\u202e\u05d0\u65e5\u672c"  # the kernel takes no line end here
    with Tmux(120, 40, "0.5") as tmux:
        tmux.wait_for("CONTAINER")
        inner = room.cgroup.directory / name
        inner.mkdir()
        try:
            room.run("write", room.path(f"line\nend{name}"), PAGES, PAGE)
            tmux.press("f", _name(room), "Enter")
            lines = tmux.wait_for(lambda shown: "\\x1b[2J" in shown[3])
            assert lines[0].startswith("memtrace on ")
            assert lines[2].startswith("CONTAINER")
            assert any("\\u202e\\u05d0\u65e5\u672c" in line for line in lines), "\n".join(lines)
        finally:
            inner.rmdir()
