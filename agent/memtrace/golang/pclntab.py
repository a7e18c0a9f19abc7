"""The table of functions every Go program keeps for its own stack traces, stripped or not.

Formats of Go 1.18 to 1.27, read in place: functions by name in one bounded pass, names by
address with a binary search in the file. Inlined calls are not looked into: an address belongs
to the function it was compiled into.
Source: runtime/symtab.go, cmd/link/internal/ld/pcln.go.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from contextlib import suppress
from struct import Struct
from typing import NamedTuple

from memtrace.golang.elf import Elf
from memtrace.golang.refusal import Refusal, State

MAX_FUNCTIONS = 1_000_000
MAX_NAME = 256
"""Characters of a name that are told. What comes behind are mostly type arguments."""
NAME_BYTES = 4 * MAX_NAME
"""That hold so many characters of UTF-8 in any case."""

# Where the linker puts it; merged into .data.rel.ro by gcc in a position-independent program
# until 1.26.
_SECTIONS = (".gopclntab", ".data.rel.ro.gopclntab")
_MERGED = ".data.rel.ro"
_MAGICS = (0xFFFFFFF0, 0xFFFFFFF1)  # 1.18, 1.20
# What both magics have in common up to the first byte, then padding, instruction size 1 and
# pointer size 8. One search for this is twenty times as fast as one for each magic.
_COMMON = bytes((0xFF, 0xFF, 0xFF, 0, 0, 1, 8))

_HEADER = Struct("<IBBBBQQQQQQQQ")
_TEXT_START = 24  # its place in the header; 0 from 1.26 on
_MODULE_TEXT = 22 * 8  # moduledata.text, in section .go.module
_ROW = Struct("<II")  # start of a function from the text base, place of its description
_FUNCTION = Struct("<Ii")  # start again, place of its name
_PAGE_ROWS = 512


class Function(NamedTuple):
    """The addresses of a function: its first instruction and the next function's."""

    entry: int
    end: int


class PcLnTab:
    """The table of an open file. Raises Refusal, and OSError from the kernel."""

    def __init__(self, elf: Elf, offset: int, address: int, size: int) -> None:
        """Check the header; Refusal when it is none of these formats."""
        self._elf = elf
        header = _HEADER.unpack(elf.read(offset, _HEADER.size))
        magic, *fixed = header[:5]
        self._count, _, _, names, units, files, programs, functions = header[5:]
        if magic not in _MAGICS or fixed != [0, 0, 1, 8]:
            raise Refusal(State.IMPLAUSIBLE, "the table of functions has no known header")
        if not 0 < self._count <= MAX_FUNCTIONS:
            raise Refusal(State.IMPLAUSIBLE, f"a table of {self._count} functions")
        end_of_rows = functions + self._count * _ROW.size + 4
        if not _HEADER.size <= names <= units <= files <= programs <= functions:
            raise Refusal(State.IMPLAUSIBLE, "the parts of the table of functions overlap")
        if end_of_rows > size or offset + size > elf.size:
            raise Refusal(State.IMPLAUSIBLE, "the table of functions is larger than its section")
        self._names, self._names_size = offset + names, units - names
        self._rows, self._descriptions = offset + functions, offset + end_of_rows
        self._end = offset + size
        self._text = self._find_text(address)
        last = int.from_bytes(elf.read(self._descriptions - 4, 4), "little")
        text = elf.segment_of(self._text, max(last, 1))
        if text is None or not text.executable:
            raise Refusal(State.IMPLAUSIBLE, "functions outside of the program's code")

    def find(self, names: Collection[str]) -> dict[str, Function]:
        """Those of these functions that the program has."""
        wanted = {b"\0" + name.encode() + b"\0": name for name in names}
        places = self._elf.find_first(self._names, self._names_size, wanted.keys())
        found = ((wanted[text], self._function_named(at + 1)) for text, at in places.items())
        return {name: function for name, function in found if function}

    def lookup(self, address: int) -> str | None:
        """The name of the function that holds an address; None outside of Go's code.

        Of a return address give the byte before it, which is part of the call.
        """
        if address < self._text:
            return None
        index = self._row_before(address - self._text)
        if index is None:
            return None
        _, place = self._row(index)
        _, name = self._description(place)
        return self._name(name)

    def _find_text(self, address: int) -> int:
        """The address functions are counted from; never the start of .text, which is gcc's."""
        module = self._elf.section(".go.module")
        if module is not None:
            return self._elf.pointer_at(module.address + _MODULE_TEXT)
        return self._elf.pointer_at(address + _TEXT_START)

    def _function_named(self, name: int) -> Function | None:
        """The function whose description points at a name.

        Looks for the four bytes of the pointer, and believes a place only when the row of the
        function that it says to describe leads back to it.
        """
        pattern = name.to_bytes(4, "little")
        size = self._end - self._descriptions
        for at in self._elf.find(self._descriptions, size, pattern):
            place = self._descriptions + at - 4 - self._rows
            if at < 4 or place % 4:
                continue
            start, _ = self._description(place)
            index = self._row_before(start)
            if index is not None and self._row(index) == (start, place):
                end, _ = self._row(index + 1)
                return Function(self._text + start, self._text + end)
        return None

    def _row_before(self, start: int) -> int | None:
        """The last row that begins at or before this distance from the text base."""
        low, high = 0, self._count
        while high - low > _PAGE_ROWS:
            middle = (low + high) // 2
            if self._row(middle)[0] <= start:
                low = middle
            else:
                high = middle
        data = self._elf.read(self._rows + low * _ROW.size, (high - low) * _ROW.size + 4)
        starts = memoryview(data[: len(data) - 4]).cast("I")[::2].tolist()
        past_the_end = start >= int.from_bytes(data[-4:], "little")
        index = low + bisect_right(starts, start) - 1
        return None if index < low or past_the_end else index

    def _row(self, index: int) -> tuple[int, int]:
        """A row; the one after the last has a start only."""
        data = self._elf.read(self._rows + index * _ROW.size, 4 if index == self._count else 8)
        start, place = _ROW.unpack(data.ljust(8, b"\0"))
        return start, place

    def _description(self, place: int) -> tuple[int, int]:
        if not self._descriptions <= self._rows + place <= self._end - _FUNCTION.size:
            raise Refusal(State.IMPLAUSIBLE, "a function described outside of the table")
        start, name = _FUNCTION.unpack(self._elf.read(self._rows + place, _FUNCTION.size))
        return start, name

    def _name(self, place: int) -> str | None:
        if not 0 <= place < self._names_size:
            return None
        data = self._elf.read(self._names + place, min(NAME_BYTES, self._names_size - place))
        return name_in(data)


def name_in(data: bytes) -> str | None:
    """The name that begins here, cut to MAX_NAME; None where there is none to be shown."""
    name = data.partition(b"\0")[0].decode("utf-8", "replace")[:MAX_NAME]
    return name if name.isprintable() and name else None


def open_pclntab(elf: Elf) -> PcLnTab:
    """The table of functions; Refusal where there is none that can be read."""
    for name in _SECTIONS:
        section = elf.section(name)
        if section is not None:
            return PcLnTab(elf, section.offset, section.address, section.size)
    return _inside_another(elf)


def _inside_another(elf: Elf) -> PcLnTab:
    """The first place in .data.rel.ro where a whole table is."""
    section = elf.section(_MERGED)
    if section is None:
        raise Refusal(State.IMPLAUSIBLE, "a Go program without a table of functions")
    for found in elf.find(section.offset, section.size, _COMMON):
        at = found - 1
        if at < 0 or at % 8:
            continue
        with suppress(Refusal):
            return PcLnTab(elf, section.offset + at, section.address + at, section.size - at)
    raise Refusal(State.IMPLAUSIBLE, "no table of functions in .data.rel.ro")
