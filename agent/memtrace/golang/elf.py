"""A bounded reader of ELF files over an open descriptor. Knows nothing of Go.

Only 64-bit little-endian x86-64. The file is attacker-controlled: every count, offset and size
is checked before it is used, nothing is read whole. Raises `Refusal`, and OSError from the
kernel. Addresses are link-time ones: where a position-independent program runs elsewhere, a
place in the file is what its mapping and the file have in common (`address_of`).
Source: System V ABI, gABI 4.1 and its x86-64 supplement.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from functools import cached_property
from struct import Struct
from typing import NamedTuple

from memtrace.golang.refusal import Refusal, State

MAX_SECTION = 64 << 20
MAX_SECTIONS = 4096
MAX_SEGMENTS = 128
MAX_READ = 4 << 20  # at once; larger tables are read in chunks
CHUNK = 1 << 20
MAX_CANDIDATES = 256  # places where bytes look as wanted; programs have one or two
MAX_SEARCHED = 1 << 26  # bytes, once for each pattern: 40 ms at worst; programs need up to 37 MiB
MAX_ADDRESS = 1 << 47  # of user space

_MAX_NAMES = 1 << 20
_MAX_NOTES = 65_536

_IDENT = b"\x7fELF"
_CLASS64, _LITTLE = 2, 1
_EXECUTABLE, _SHARED = 2, 3
_X86_64 = 62

_LOAD = 1
_EXECUTE, _WRITE = 1, 2
_NOBITS = 8
_RELATIVE = 8  # R_X86_64_RELATIVE
_BUILD_ID = 3

_HEADER = Struct("<16xHHIQQQIHHHHHH")
_SEGMENT = Struct("<IIQQQQQQ")
_SECTION = Struct("<IIQQQQIIQQ")
_RELA = Struct("<QQq")
_NOTE = Struct("<III")
_U64 = Struct("<Q")


class Section(NamedTuple):
    """A row of the section table; `size` in bytes, `stored` False for .bss and its like."""

    name: str
    address: int
    offset: int
    size: int
    stored: bool


class Segment(NamedTuple):
    """A part that is mapped: `size` bytes of the file, `memory` bytes of the process."""

    address: int
    offset: int
    size: int
    memory: int
    executable: bool
    writable: bool


class Elf:
    """An ELF file. Keeps the descriptor, and leaves closing it to whoever opened it."""

    def __init__(self, fd: int) -> None:
        """Read header and tables; Refusal when the file is not an x86-64 program."""
        self._fd = fd
        self._searched = 0
        self.size = os.fstat(fd).st_size
        head = os.pread(fd, _HEADER.size, 0)
        if head[:4] != _IDENT:
            raise Refusal(State.NOT_GO, "not an ELF file")
        if len(head) < _HEADER.size:
            raise Refusal(State.TRUNCATED, "the ELF header is cut off")
        fields = _HEADER.unpack(head)
        kind, machine, _, self.entry, segments, sections = fields[:6]
        _, _, segment_size, segment_count, section_size, section_count, names = fields[6:]
        if (head[4], head[5], machine) != (_CLASS64, _LITTLE, _X86_64):
            raise Refusal(State.ARCHITECTURE, "not a 64-bit x86-64 program")
        if kind not in (_EXECUTABLE, _SHARED):
            raise Refusal(State.NOT_GO, "neither a program nor a shared object")
        self.position_independent = kind == _SHARED
        self.segments = self._read_segments(segments, segment_size, segment_count)
        self.sections = self._read_sections(sections, section_size, section_count, names)

    def read(self, offset: int, size: int) -> bytes:
        """Exactly these bytes of the file; Refusal when it ends before."""
        if size > MAX_READ:
            raise Refusal(State.TOO_LARGE, f"a table of {size} bytes")
        if offset < 0 or size < 0 or offset + size > self.size:
            raise Refusal(State.TRUNCATED, "the file ends before what its tables promise")
        data = os.pread(self._fd, size, offset)
        if len(data) != size:
            raise Refusal(State.VANISHED, "the file became shorter while it was read")
        return data

    def find(self, offset: int, size: int, pattern: bytes) -> Iterator[int]:
        """Where in a range of the file a pattern begins, counted from the range's start.

        Reads piece by piece and only as far as the caller asks for. Refusal after
        MAX_CANDIDATES places: bytes made to match everywhere are not a program.
        """
        left = MAX_CANDIDATES
        for at in range(0, self._checked(size), CHUNK):
            data = self._scan(offset + at, min(CHUNK + len(pattern) - 1, size - at), 1)
            found = data.find(pattern)
            while found >= 0:
                yield at + found
                left -= 1
                if left < 0:
                    raise Refusal(State.IMPLAUSIBLE, "the same bytes again and again")
                found = data.find(pattern, found + 1)

    def find_first(self, offset: int, size: int, patterns: Set[bytes]) -> dict[bytes, int]:
        """Where each pattern begins first; patterns of at most 4 KiB. One pass for all."""
        found: dict[bytes, int] = {}
        for at in range(0, self._checked(size), CHUNK):
            missing = patterns - found.keys()
            data = self._scan(offset + at, min(CHUNK + 4096, size - at), len(missing))
            for pattern in missing:
                place = data.find(pattern)
                if place >= 0:
                    found[pattern] = at + place
            if len(found) == len(patterns):
                break
        return found

    def section(self, name: str) -> Section | None:
        """The section of that name that has bytes in the file; Refusal when it is too large."""
        found = self.sections.get(name)
        if found is None or not found.stored:
            return None
        if found.size > MAX_SECTION:
            raise Refusal(State.TOO_LARGE, f"{name} has {found.size} bytes")
        return found

    def segment_of(self, address: int, size: int = 1) -> Segment | None:
        """The segment that holds all of these addresses, in memory if not in the file."""
        for segment in self.segments:
            if segment.address <= address and address + size <= segment.address + segment.memory:
                return segment
        return None

    def offset_of(self, address: int) -> int | None:
        """Where in the file an address comes from; None where it does not."""
        for segment in self.segments:
            if segment.address <= address < segment.address + segment.size:
                return address - segment.address + segment.offset
        return None

    def address_of(self, offset: int) -> int | None:
        """The link-time address of a place in the file, executable parts first."""
        for segment in self.segments:
            if segment.executable and segment.offset <= offset < segment.offset + segment.size:
                return offset - segment.offset + segment.address
        return None

    def read_at(self, address: int, size: int) -> bytes:
        """Bytes by address, as they are in the file; Refusal where the file has none."""
        offset = self.offset_of(address)
        if offset is None:
            raise Refusal(State.IMPLAUSIBLE, "an address outside of the file")
        return self.read(offset, size)

    def pointer_at(self, address: int) -> int:
        """The pointer stored at an address, as the loader leaves it at load address 0.

        External linkers leave the bytes of a pointer that is to be relocated empty and keep
        its value in the table of relocations.
        """
        (stored,) = _U64.unpack(self.read_at(address, 8))
        return int(stored) or self._relative_addend(address) or 0

    @cached_property
    def build_id(self) -> str | None:
        """GNU's build ID in hexadecimal, else the hash of Go's; None where there is neither."""
        for name, kind in ((".note.gnu.build-id", _BUILD_ID), (".note.go.buildid", 4)):
            section = self.section(name)
            if section and section.size <= _MAX_NOTES:
                data = self.read(section.offset, section.size)
                found = _note(data, kind)
                if found:
                    return found.hex() if kind == _BUILD_ID else found.decode("ascii", "replace")
        return None

    def _scan(self, offset: int, size: int, patterns: int) -> bytes:
        """Bytes to be searched, as long as there have not been too many for a program."""
        self._searched += size * patterns
        if self._searched > MAX_SEARCHED:
            raise Refusal(State.TOO_LARGE, f"more than {MAX_SEARCHED} bytes to search")
        return self.read(offset, size)

    def _checked(self, size: int) -> int:
        if size > MAX_SECTION:
            raise Refusal(State.TOO_LARGE, f"a table of {size} bytes")
        return size

    def _relative_addend(self, address: int) -> int | None:
        section = self.section(".rela.dyn")
        if section is None:
            return None
        for found in self.find(section.offset, section.size, _U64.pack(address)):
            if found % _RELA.size == 0 and found + _RELA.size <= section.size:
                row = self.read(section.offset + found, _RELA.size)
                _, kind, addend = _RELA.unpack(row)
                return int(addend) if kind == _RELATIVE and addend >= 0 else None
        return None

    def _read_segments(self, offset: int, entry: int, count: int) -> tuple[Segment, ...]:
        if count > MAX_SEGMENTS or (count and entry != _SEGMENT.size):
            raise Refusal(State.IMPLAUSIBLE, f"{count} program headers of {entry} bytes")
        rows = _SEGMENT.iter_unpack(self.read(offset, count * entry))
        return tuple(
            _segment(flags, at, address, size, memory)
            for kind, flags, at, address, _, size, memory, _ in rows
            if kind == _LOAD
        )

    def _read_sections(self, offset: int, entry: int, count: int, names: int) -> dict[str, Section]:
        if count == 0:
            return {}
        if count > MAX_SECTIONS or entry != _SECTION.size or names >= count:
            raise Refusal(State.IMPLAUSIBLE, f"{count} section headers of {entry} bytes")
        rows = list(_SECTION.iter_unpack(self.read(offset, count * entry)))
        if rows[names][5] > _MAX_NAMES:
            raise Refusal(State.IMPLAUSIBLE, "the table of section names is too large")
        table = self.read(rows[names][4], rows[names][5])
        found = [_section(row, table) for row in rows]
        return {section.name: section for section in reversed(found)}


def _segment(flags: int, offset: int, address: int, size: int, memory: int) -> Segment:
    if size > memory or address + memory > MAX_ADDRESS:
        raise Refusal(State.IMPLAUSIBLE, "a segment outside of what a process can map")
    return Segment(address, offset, size, memory, bool(flags & _EXECUTE), bool(flags & _WRITE))


def _section(row: tuple[int, ...], names: bytes) -> Section:
    name, kind, _, address, offset, size = row[:6]
    text = names[name : name + 64].partition(b"\0")[0].decode("ascii", "replace")
    return Section(text, address, offset, size, kind != _NOBITS)


def _note(data: bytes, kind: int) -> bytes | None:
    """What the first note holds, where it is of this kind."""
    if len(data) < _NOTE.size:
        return None
    name, size, found = _NOTE.unpack_from(data)
    start = _NOTE.size + (name + 3) // 4 * 4
    if found != kind or not 0 < size <= 256 or start + size > len(data):
        return None
    return data[start : start + size]
