"""Finding Go processes below a made-up /proc."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memtrace.collect import go_finder
from memtrace.collect.go_finder import GoFinder
from memtrace.golang.binary import GoBinary, Identity
from memtrace.golang.refusal import State


class Host:
    """Processes and programs; what is in a program is what it begins with."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.inspected: list[str] = []
        (root / "proc").mkdir()
        monkeypatch.setattr(go_finder, "inspect", self._inspect)

    def _inspect(self, fd: int) -> GoBinary:
        text = os.pread(fd, 64, 0).decode()
        self.inspected.append(text)
        state = State.GO if text.startswith("go") else State.NOT_GO
        name, _, content = text.partition(" ")
        return GoBinary(state, identity=Identity(0, 0, 0, name), reason=content)

    def program(self, name: str, content: str) -> Path:
        """A program's file."""
        path = self.root / name
        path.write_text(content)
        return path

    def run(self, pid: int, program: Path | None) -> None:
        """A process begins, or runs another program; None: a kernel thread."""
        directory = self.root / f"proc/{pid}"
        directory.mkdir(exist_ok=True)
        (directory / "exe").unlink(missing_ok=True)
        if program is not None:
            (directory / "exe").symlink_to(program)

    def end(self, pid: int) -> None:
        """A process ends."""
        (self.root / f"proc/{pid}/exe").unlink(missing_ok=True)
        (self.root / f"proc/{pid}").rmdir()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A machine without processes."""
    return Host(tmp_path, monkeypatch)


def found(finder: GoFinder, now: float) -> list[int]:
    """The pids it tells."""
    return [pid for pid, _ in finder.look(now)]


def test_each_go_process_is_told_once(host: Host) -> None:
    """Old ones at the first look, new ones at the next; others never."""
    finder = GoFinder(host.root)
    host.run(1, host.program("init", "c"))
    host.run(2, None)
    host.run(3, host.program("app", "go"))
    assert found(finder, 0.0) == [3]
    host.run(4, host.root / "app")
    assert found(finder, 1.0) == [4]
    assert found(finder, 2.0) == []


def test_a_program_is_read_once(host: Host) -> None:
    """However many processes run it, and below however many mounts it is."""
    finder = GoFinder(host.root)
    app = host.program("app", "go")
    for pid in (1, 2, 3):
        host.run(pid, app)
    assert found(finder, 0.0) == [1, 2, 3]
    assert host.inspected == ["go"]


def test_a_file_with_the_identity_of_another_is_not_the_other(host: Host) -> None:
    """Inode, size, times and build ID can be had by anybody: what was found in it is compared."""
    finder = GoFinder(host.root)
    host.run(1, host.program("forged", "go somewhere"))
    host.run(2, host.program("app", "go here"))
    programs = {pid: program.reason for pid, program in finder.look(0.0)}
    assert programs == {1: "somewhere", 2: "here"}


def test_one_of_which_nothing_can_be_made_is_not_told_at_every_look(host: Host) -> None:
    """Not mapped yet, or mapped in an odd way."""
    finder = GoFinder(host.root)
    host.run(1, host.program("app", "go"))
    assert found(finder, 0.0) == [1]
    finder.postpone(1, 0.0)
    assert [found(finder, moment) for moment in (0.5, 1.0)] == [[], [1]]


def test_a_crowd_of_programs_does_not_keep_others_from_their_turn(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look begins behind the last one's end."""
    monkeypatch.setattr(go_finder, "MAX_LOOKS", 2)
    finder = GoFinder(host.root)
    for pid in (1, 2, 3):
        host.run(pid, host.program(f"slow{pid}", f"c {pid}"))
    host.run(4, host.program("app", "go"))
    looks = [found(finder, moment) for moment in (0.0, 10.0)]
    assert looks == [[], [4]]


def test_an_exec_is_found_with_growing_pauses(host: Host) -> None:
    """A shell that becomes a Go program: within as long again as the shell ran, at most 8 s."""
    finder = GoFinder(host.root)
    shell, app = host.program("sh", "c"), host.program("app", "go")
    host.run(1, shell)
    assert found(finder, 0.0) == []
    host.run(1, app)
    assert found(finder, 0.9) == []
    assert found(finder, 1.0) == [1]


def test_what_was_forgotten_is_looked_at_again(host: Host) -> None:
    """A Go process that runs another program, or ended and left its pid to another one."""
    finder = GoFinder(host.root)
    app = host.program("app", "go")
    host.run(1, app)
    assert found(finder, 0.0) == [1]
    finder.forget(1)
    assert found(finder, 1.0) == [1]
    host.end(1)
    assert found(finder, 2.0) == []
    host.run(1, app)
    assert found(finder, 3.0) == [1]


def test_reading_programs_has_a_budget(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left over has its turn later; a thorough look takes the time it needs."""
    monkeypatch.setattr(go_finder, "BUDGET_SECONDS", -1.0)
    finder = GoFinder(host.root)
    host.run(1, host.program("app", "go"))
    assert found(finder, 0.0) == []
    assert [pid for pid, _ in finder.look(1.0, thorough=True)] == [1]


def test_a_machine_without_proc_has_no_processes(tmp_path: Path) -> None:
    """Nothing is mounted there."""
    assert list(GoFinder(tmp_path).look(0.0)) == []
