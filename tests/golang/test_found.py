"""What is found in a program is what its symbols, objdump and the go command say."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from memtrace.golang.binary import GoBinary, inspect_path
from memtrace.golang.elf import Elf
from memtrace.golang.gccontroller import FUNCTIONS as CONTROLLER
from memtrace.golang.pclntab import PcLnTab, open_pclntab
from memtrace.golang.probes import FUNCTIONS as PROBED
from memtrace.golang.refusal import State
from memtrace.golang.symbolize import Symbols
from tests.golang.process import Subject
from tests.golang.programs import Program, go
from tests.golang.symbols import addresses, functions, instruction
from tests.golang.toolchains import toolchain

POINTS = {
    "stop": "runtime.stopTheWorldWithSema",
    "finish": "runtime.(*gcCPULimiterState).finishGCTransition",
    "cycle_start": "runtime.(*gcControllerState).startCycle",
    "cycle_end": "runtime.(*gcControllerState).endCycle",
    "reset_live": "runtime.(*gcControllerState).resetLive",
}


def symbols_of(built: Program) -> dict[str, int]:
    """A program linked with -s has none, but the same code as the one that has."""
    path = built.path.with_name("static") if built.flavour == "stripped" else built.path
    return addresses(path)


@pytest.fixture
def file(built: Program) -> Iterator[int]:
    """The stripped program, open."""
    fd = os.open(built.stripped, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def binary(built: Program) -> GoBinary:
    """What is found in the stripped program."""
    return inspect_path(built.stripped)


def test_everything_is_found_in_the_stripped_program(built: Program, binary: GoBinary) -> None:
    """No part is missing."""
    assert (binary.state, binary.reason, binary.missing) == (State.GO, "", {})
    assert binary.stripped is True
    assert binary.position_independent is built.flavour.endswith("pie")


def test_build_information_is_what_go_version_says(built: Program, binary: GoBinary) -> None:
    """Version, main package and settings."""
    said = go(toolchain(built.release), "version", "-m", str(built.path))
    lines = [line.strip().split("\t") for line in said.splitlines()]
    settings = dict(line[1].split("=", 1) for line in lines[1:] if line[0] == "build")
    assert binary.build is not None
    assert lines[0][0].endswith(f": {binary.build.version}")
    assert ["path", binary.build.main] in lines
    assert binary.build.minor == built.minor
    assert binary.build.settings.items() <= settings.items()
    debug = settings.get("DefaultGODEBUG", "").split(",")
    assert {f"{name}={to}" for name, to in binary.build.debug.items()} <= set(debug)
    wanted = [each for each in debug if each.startswith("containermaxprocs=")]
    assert bool(wanted) == ("containermaxprocs" in binary.build.debug)


def test_functions_are_where_the_symbols_say(built: Program, file: int) -> None:
    """Each function looked for, in a file that lost its symbols."""
    symbols = symbols_of(built)
    found = open_pclntab(Elf(file)).find(CONTROLLER | PROBED)
    assert {name: each.entry for name, each in found.items()} == {
        name: symbols[name] for name in CONTROLLER | PROBED
    }


def test_variables_are_where_the_symbols_say(built: Program, binary: GoBinary) -> None:
    """gcController, gomaxprocs, mbuckets and MemProfileRate; the count of cycles is in work."""
    if built.flavour == "stripped":
        return  # the same code as its twin with symbols, but other addresses of data
    symbols = symbols_of(built)
    assert binary.places is not None
    assert binary.profile is not None
    assert binary.places.gc_controller == symbols["runtime.gcController"]
    assert binary.places.gomaxprocs == symbols["runtime.gomaxprocs"]
    assert binary.profile.buckets == symbols["runtime.mbuckets"]
    assert binary.profile.rate == symbols["runtime.MemProfileRate"]
    assert binary.places.cycles is not None
    assert 0 < binary.places.cycles - symbols["runtime.work"] < 2048


@pytest.mark.parametrize("point", POINTS)
def test_probes_are_at_the_cheap_instruction(built: Program, binary: GoBinary, point: str) -> None:
    """The push of the frame pointer behind the check for stack space; in 1.19 the check's jump."""
    symbols = symbols_of(built)
    assert binary.probes is not None
    fd = os.open(built.stripped, os.O_RDONLY)
    address = Elf(fd).address_of(getattr(binary.probes, point))
    os.close(fd)
    assert address is not None
    assert 0 < address - symbols[POINTS[point]] < 32
    text = instruction(built.path, address)
    assert text.startswith("jbe " if built.minor == 19 else "push %rbp")


def named(table: PcLnTab, address: int) -> set[str]:
    """What is found there; the table keeps the compiler's middle dots."""
    return {(table.lookup(address) or "").replace("·", ".")}


def test_names_are_those_of_the_symbols(built: Program, file: int) -> None:
    """At the first and the second byte of every function of Go; nothing in front of them all."""
    known = functions(built.path.with_name("static") if built.flavour == "stripped" else built.path)
    table = open_pclntab(Elf(file))
    wrong = {
        name: found
        for address, name in known.items()
        if (found := named(table, address) | named(table, address + 1)) != {name}
    }
    assert len(known) > 1000
    assert wrong == {}
    assert table.lookup(min(known) - 1) is None


def test_a_program_names_its_own_callers(built: Program, file: int) -> None:
    """The same names as runtime.FuncForPC's, by place in the file."""
    symbols = Symbols(file)
    with Subject(built.stripped) as subject:
        said = subject.ask("callers")
        here = [pc - subject.mapped + subject.binary.base for pc, _ in said]
    assert [symbols.name(address) for address in here] == [name for _, name in said]
    assert "main.callers" in [name for _, name in said]
    symbols.close()
