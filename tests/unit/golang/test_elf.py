"""Reading a file never goes beyond it, its tables, or what one program can need."""

from __future__ import annotations

import os
from struct import pack

import pytest

from memtrace.golang import elf
from memtrace.golang.elf import Elf
from memtrace.golang.refusal import Refusal, State
from tests.unit.golang.conftest import Open
from tests.unit.golang.synthetic import DATA, TEXT, Made

WHOLE = Made(relocated=True).bytes()


def test_a_pattern_is_found_across_pieces(
    open_bytes: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once each, wherever the pieces end."""
    monkeypatch.setattr(elf, "CHUNK", 16)
    data = WHOLE + (b"." * 13 + b"pattern" + b"." * 9) * 5
    file = Elf(open_bytes(data))
    size = len(data) - len(WHOLE)
    assert list(file.find(len(WHOLE), size, b"pattern")) == [
        13 + 29 * number for number in range(5)
    ]
    assert file.find_first(len(WHOLE), size, {b"pattern", b"nothing"}) == {b"pattern": 13}


def test_bytes_that_match_everywhere_are_refused(open_bytes: Open) -> None:
    """Made for that, not by a linker."""
    file = Elf(open_bytes(WHOLE + bytes(5000)))
    with pytest.raises(Refusal, match="again and again"):
        list(file.find(len(WHOLE), 5000, b"\0"))


def test_searching_ends(open_bytes: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many bytes in all, whatever is left."""
    monkeypatch.setattr(elf, "MAX_SEARCHED", 50_000)
    file = Elf(open_bytes(WHOLE))
    list(file.find(0, 40_000, b"nothing"))
    with pytest.raises(Refusal, match="bytes to search") as refused:
        list(file.find(0, 40_000, b"nothing"))
    assert refused.value.state == State.TOO_LARGE


def test_a_program_made_to_be_searched_is_refused(open_bytes: Open) -> None:
    """Seventeen names in 12 MiB are twice of what any known program needs: that takes 0.1 s."""
    fd = open_bytes(WHOLE)
    os.ftruncate(fd, 12 << 20)
    names = {b"\0runtime.%d\0" % number for number in range(17)}
    with pytest.raises(Refusal, match="bytes to search"):
        Elf(fd).find_first(0, 12 << 20, names)


def test_nothing_outside_is_read(open_bytes: Open) -> None:
    """Beyond the end, at a negative offset, more than is read at once."""
    file = Elf(open_bytes(WHOLE))
    assert file.read(0, 4) == b"\x7fELF"
    for offset, size in ((len(WHOLE) - 3, 4), (-4, 4), (1 << 64, 1), (0, elf.MAX_READ + 1)):
        with pytest.raises(Refusal):
            file.read(offset, size)
    with pytest.raises(Refusal):
        file.read_at(1 << 46, 8)


def test_a_file_that_becomes_shorter_has_vanished(open_bytes: Open) -> None:
    """Its size was asked for once."""
    fd = open_bytes(WHOLE)
    file = Elf(fd)
    os.ftruncate(fd, 4096)
    with pytest.raises(Refusal) as refused:
        file.read(4000, 200)
    assert refused.value.state == State.VANISHED


def test_addresses_and_places_in_the_file(open_bytes: Open) -> None:
    """Both ways; .bss has no place."""
    file = Elf(open_bytes(WHOLE))
    assert file.offset_of(TEXT) == 0x1000
    assert file.address_of(0x1000) == TEXT
    assert file.offset_of(DATA + 0x10000) is None
    assert file.segment_of(DATA + 0x10000, 8) is not None
    assert file.segment_of(DATA + 0x1FFFC, 8) is None
    assert file.address_of(1 << 40) is None


def test_an_empty_pointer_is_looked_up_among_relocations(open_bytes: Open) -> None:
    """External linkers leave it out of the file."""
    file = Elf(open_bytes(WHOLE))
    table = file.sections[".gopclntab"].address
    assert file.read_at(table + 24, 8) == bytes(8)
    assert file.pointer_at(table + 24) == TEXT


@pytest.mark.parametrize(
    ("at", "value", "state"),
    [
        (4, b"\x01", State.ARCHITECTURE),  # 32 bits
        (5, b"\x02", State.ARCHITECTURE),  # big-endian
        (16, b"\x01\0", State.NOT_GO),  # an object file
        (56, pack("<H", 129), State.IMPLAUSIBLE),  # segments
        (54, pack("<H", 32), State.IMPLAUSIBLE),
        (60, pack("<H", 4097), State.IMPLAUSIBLE),  # sections
        (62, pack("<H", 200), State.IMPLAUSIBLE),  # section of names
        (40, pack("<Q", 1 << 63), State.TRUNCATED),
        (32, pack("<Q", len(WHOLE)), State.TRUNCATED),
        (64 + 16, pack("<Q", 1 << 47), State.IMPLAUSIBLE),  # address of a segment
        (64 + 32, pack("<Q", 1 << 40), State.IMPLAUSIBLE),  # larger in the file than in memory
    ],
)
def test_headers_that_cannot_be_are_refused(
    open_bytes: Open, at: int, value: bytes, state: State
) -> None:
    """Each with its state."""
    data = bytearray(WHOLE)
    data[at : at + len(value)] = value
    with pytest.raises(Refusal) as refused:
        Elf(open_bytes(bytes(data)))
    assert refused.value.state == state
