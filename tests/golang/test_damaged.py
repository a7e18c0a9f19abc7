"""Real programs with damage: every one is in some state, none raises, none takes long."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memtrace.golang.binary import GoBinary, inspect
from memtrace.golang.elf import Elf
from memtrace.golang.refusal import State
from memtrace.golang.symbolize import Symbols
from tests.golang.programs import Program

ROUNDS = int(os.environ.get("MEMTRACE_GO_ROUNDS", "40"))
FLAVOURS = ("static", "cgo-pie")  # the table of functions in a section, and inside another
MOST_SECONDS = 2.0  # of CPU; a whole one takes some milliseconds
HEADER = 4096
Damage = Callable[[random.Random, int, dict[str, tuple[int, int]]], None]


def flip_headers(chance: random.Random, fd: int, sections: dict[str, tuple[int, int]]) -> None:
    """Bytes of the ELF header, the segment and section tables."""
    places = [*range(64), *range(64, 1024)]
    start = int.from_bytes(os.pread(fd, 8, 40), "little")
    places += range(start, start + 64 * 24)
    for at in chance.sample(places, chance.randint(1, 8)):
        os.pwrite(fd, chance.randbytes(1), at)


def flip_tables(chance: random.Random, fd: int, sections: dict[str, tuple[int, int]]) -> None:
    """Bytes at the beginning of what golang/ reads, and of .text all over."""
    offset, size = sections[chance.choice(sorted(sections))]
    for _ in range(chance.randint(1, 64)):
        os.pwrite(fd, chance.randbytes(8), offset + chance.randrange(min(size, HEADER)))


def blur(chance: random.Random, fd: int, sections: dict[str, tuple[int, int]]) -> None:
    """A whole section of random bytes."""
    offset, size = sections[chance.choice(sorted(sections))]
    os.pwrite(fd, chance.randbytes(size), offset)


def level(chance: random.Random, fd: int, sections: dict[str, tuple[int, int]]) -> None:
    """A part of a section behind its header with one byte everywhere."""
    offset, size = sections[chance.choice(sorted(sections))]
    start = min(chance.choice((0, 72, 4096)), size)
    os.pwrite(fd, bytes([chance.choice((0, 1, 255, 0xE8))]) * (size - start), offset + start)


def truncate(chance: random.Random, fd: int, sections: dict[str, tuple[int, int]]) -> None:
    """Cut off anywhere."""
    os.ftruncate(fd, chance.randrange(os.fstat(fd).st_size))


def extremes(chance: random.Random, fd: int, sections: dict[str, tuple[int, int]]) -> None:
    """Fields of headers with numbers that overflow, in place of real ones."""
    start = int.from_bytes(os.pread(fd, 8, 40), "little")
    headers = [24, 32, 40, 54, 56, 58, 60, 62, *range(64, 512, 8), *range(start, start + 1536, 8)]
    value = chance.choice((0, 1, 0x7FFF_FFFF, 0xFFFF_FFFF, (1 << 63) - 1, (1 << 64) - 1))
    os.pwrite(fd, value.to_bytes(8, "little")[: chance.choice((2, 4, 8))], chance.choice(headers))


def pclntab_fields(chance: random.Random, fd: int, sections: dict[str, tuple[int, int]]) -> None:
    """The counts and offsets of the table of functions."""
    for name in (".gopclntab", ".data.rel.ro.gopclntab"):
        if name in sections:
            value = chance.choice((0, 1, 1 << 19, 1 << 31, 1 << 62, (1 << 64) - 1))
            field = sections[name][0] + 8 * chance.randint(1, 8)
            os.pwrite(fd, value.to_bytes(8, "little"), field)


@pytest.fixture
def copy(built: Program, tmp_path: Path) -> Iterator[tuple[Program, int]]:
    """A file to be damaged."""
    fd = os.open(tmp_path / "damaged", os.O_RDWR | os.O_CREAT)
    yield built, fd
    os.close(fd)


def looked_at(fd: int) -> GoBinary:
    """The answer; also asks for names."""
    start = time.process_time()
    binary = inspect(fd)
    symbols = Symbols(fd)
    for address in (0, 1, 0x401000, 0x430000, 0x480010, 1 << 46, (1 << 64) - 1):
        symbols.name(address)
        symbols.name_at(address)
    symbols.close()
    assert time.process_time() - start < MOST_SECONDS
    return binary


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    "damage",
    [flip_headers, flip_tables, blur, level, truncate, extremes, pclntab_fields],
    ids=lambda function: function.__name__,
)
def test_no_damage_raises(copy: tuple[Program, int], damage: Damage) -> None:
    """Whatever is damaged: one state with a reason, in bounded time."""
    built, fd = copy
    whole = built.stripped.read_bytes()
    sections = stored_sections(built.stripped)
    chance = random.Random(f"{built.release} {built.flavour} {damage.__name__}")
    states = set()
    for _ in range(ROUNDS):
        os.ftruncate(fd, 0)
        os.pwrite(fd, whole, 0)
        damage(chance, fd, sections)
        binary = looked_at(fd)
        assert bool(binary.reason) == (binary.state != State.GO)
        states.add(binary.state)
    assert states <= set(State)


def stored_sections(path: Path) -> dict[str, tuple[int, int]]:
    """Offsets and sizes of what golang/ reads."""
    fd = os.open(path, os.O_RDONLY)
    found = Elf(fd).sections
    os.close(fd)
    read = (".text", ".go.buildinfo", ".gopclntab", ".data.rel.ro.gopclntab", ".data.rel.ro")
    read += (".go.module", ".rela.dyn", ".rela", ".note.gnu.build-id", ".shstrtab", ".dynsym")
    return {n: (found[n].offset, found[n].size) for n in read if n in found and found[n].size}
