"""Names of what runs in processes: after an exec, after dlopen, and within bounds."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtrace.collect.watches import code
from memtrace.collect.watches.code import CodeNames, _Process
from memtrace.host.procfs import Mapping

PROCESS = 7, 3, 0x401000
HERE = os.getpid(), 0, None


class Machine:
    """One process of pid 7: what it maps, which program it is, and the names in its files."""

    def __init__(self, root: Path) -> None:
        self.exe = root / "proc/7/exe"
        self.exe.parent.mkdir(parents=True)
        self.exe.write_text("first")
        self.mappings: tuple[Mapping, ...] = (Mapping(0x1000, 0x2000, 0),)
        self.prefix = "main"
        self.runs = True
        self.reads = self.asked = 0

    def read(self, _root: Path, _pid: int) -> tuple[Mapping, ...]:
        """Stands for executable_mappings."""
        self.reads += 1
        return self.mappings

    def name(self, _pid: int, start: int, _end: int, offset: int) -> str:
        """Stands for CodeNames.name."""
        self.asked += 1
        return f"{self.prefix}.{start:x}+{offset:x}"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Instead of /proc."""
    made = Machine(tmp_path)
    monkeypatch.setattr(code, "executable_mappings", made.read)
    monkeypatch.setattr(code, "runs_from", lambda *_: made.runs)
    return made


@pytest.fixture
def names(tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> CodeNames:
    """With the names of the machine's files."""
    made = CodeNames(tmp_path)
    monkeypatch.setattr(made, "name", machine.name)
    return made


def test_another_program_in_the_same_process_has_its_own_names(
    machine: Machine, names: CodeNames
) -> None:
    """An exec changes neither pid nor start, but where the code begins."""
    assert names.frames(PROCESS, (0x1011,)) == ("main.1000+10",)
    machine.mappings, machine.prefix = (Mapping(0x1000, 0x2000, 0x500),), "other"
    machine.exe.rename(machine.exe.with_name("gone"))
    machine.exe.write_text("second")
    names.begin(1)
    assert names.frames((7, 3, 0x402000), (0x1011,)) == ("other.1000+510",)


def test_a_program_at_the_same_address_is_told_by_its_file(
    machine: Machine, names: CodeNames
) -> None:
    """Go's programs mostly begin at 0x401000."""
    assert names.frames(PROCESS, (0x1011,)) == ("main.1000+10",)
    machine.mappings = (Mapping(0x1000, 0x2000, 0x500),)
    machine.exe.rename(machine.exe.with_name("gone"))
    machine.exe.write_text("second")
    names.begin(1)
    assert names.frames(PROCESS, (0x1021,)) == ("main.1000+520",)
    names.begin(1)
    assert names.frames(PROCESS, (0x1031,)) == ("main.1000+530",)
    assert machine.reads == 2


def test_a_process_that_became_another_one_lends_it_no_names(
    machine: Machine, names: CodeNames
) -> None:
    """Rows of the program before find no mappings; those that had names keep them."""
    assert names.frames(PROCESS, (0x1011,)) == ("main.1000+10",)
    machine.runs = False
    assert names.frames(PROCESS, (0x1011,)) == ("main.1000+10",)
    assert names.frames((7, 3, 0x999), (0x1011,)) == ("",)


def test_mappings_are_read_again_for_what_is_in_none(
    machine: Machine, names: CodeNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty right after exec, or more by dlopen; ever more seldom where nothing comes of it."""
    now = [100.0]
    monkeypatch.setattr(code.time, "monotonic", lambda: now[0])
    machine.mappings = ()
    names.begin(1)
    assert names.frames(PROCESS, (0x1011, 0x5001)) == ("", "")
    assert not names.complete
    machine.mappings = (Mapping(0x1000, 0x2000, 0),)
    now[0] += 2
    names.begin(1)
    assert names.frames(PROCESS, (0x1011, 0x5001)) == ("main.1000+10", "")
    machine.mappings += (Mapping(0x5000, 0x6000, 0),)
    now[0] += 4
    names.begin(1)
    assert names.frames(PROCESS, (0x5001,)) == ("main.5000+0",)
    before = machine.reads
    for _ in range(1000):
        now[0] += 1
        names.begin(1)
        names.frames(PROCESS, (0x9001,))
    assert names.complete
    assert machine.reads - before < 25


def test_without_time_only_what_is_known_is_told(machine: Machine, names: CodeNames) -> None:
    """And that it was put off."""
    names.begin(1)
    assert names.frames(PROCESS, (0x1011,)) == ("main.1000+10",)
    assert names.complete
    names.begin(-1)
    assert names.frames(PROCESS, (0x1011, 0x1021)) == ("main.1000+10", "")
    assert not names.complete
    assert machine.asked == 1


def test_names_have_room_for_so_many_bytes(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From there on nothing is named until all are given up."""
    names = CodeNames(tmp_path, 100_000)
    monkeypatch.setattr(names, "name", lambda *_: "n" * 256)
    told = names.frames(PROCESS, range(0x1001, 0x1801))
    assert 100 < sum(map(bool, told)) < 1000
    assert names.full
    names.forget()
    assert not names.full
    assert names.frames(PROCESS, (0x1011,)) == ("n" * 256,)


def test_processes_that_are_given_up_take_their_names_along(
    machine: Machine, names: CodeNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest first."""
    monkeypatch.setattr(code, "MAX_PROCESSES", 2)
    for pid in range(3, 200):
        names.frames((pid, 3, None), (0x1011,))
    assert names._held == 2 * (len("main.1000+10") + code._ENTRY_BYTES)


def test_mappings_have_a_bound(machine: Machine, names: CodeNames) -> None:
    """Of one process, the lowest."""
    machine.mappings = tuple(Mapping(at << 12, (at << 12) + 16, 0) for at in range(1, 5000))
    told = names.frames(PROCESS, [(at << 12) + 1 for at in range(1, 5000)])
    assert sum(map(bool, told)) == code.MAX_MAPPINGS


@pytest.fixture
def real() -> Iterator[CodeNames]:
    """Of this machine."""
    made = CodeNames(Path("/"))
    yield made
    made.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="map_files is root's")
def test_this_process_has_the_names_of_its_library(real: CodeNames) -> None:
    """Read from the file that is mapped."""
    function = ctypes.cast(ctypes.CDLL(None).qsort, ctypes.c_void_p).value
    assert function is not None
    assert "qsort" in real.frames(HERE, (function + 2,))[0]


def test_tables_of_many_files_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were used last stay; what is given up is closed."""
    monkeypatch.setattr(code, "MAX_FILE_BYTES", 1 << 16)
    names = CodeNames(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(100):
        file = tmp_path / str(number)
        file.write_bytes(struct.pack("<I", number))
        with file.open("rb") as opened:
            names._symbols(opened.fileno())
            names._make_room()
    assert 1 < len(names._files) <= 16
    assert len(os.listdir("/proc/self/fd")) - before == len(names._files)
    names.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_cannot_be_read_has_no_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that is gone."""
    place = tmp_path / "proc/7/map_files/1000-2000"
    place.parent.mkdir(parents=True)
    place.write_text("")

    def stale(_fd: int, _cached: int) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(code, "Symbols", stale)
    assert CodeNames(tmp_path).name(7, 0x1000, 0x2000, 0) == ""
    assert _Process(CodeNames(tmp_path), (7, 0, None)).frames((0x1001,)) == ("",)
