"""Names of functions by address: of Go programs from their own table, of others from ELF's.

Answers are cached, as many as said. A call that was inlined is named after the function it is
inlined into. Of a return address the caller gives the byte before it (`pc - 1`), which is part
of the call. Names are as the linker wrote them: C++ stays mangled.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from functools import lru_cache
from struct import Struct

from memtrace.golang.elf import Elf
from memtrace.golang.pclntab import NAME_BYTES, PcLnTab, name_in, open_pclntab
from memtrace.golang.refusal import Refusal, State

MAX_SYMBOLS = 200_000
CACHED = 4096
_ROW = Struct("<IBBHQQ")
_LEAST_BYTES, _SECTION_BYTES, _SYMBOL_BYTES = 4096, 400, 8  # measured: of Python's objects
_WORDS_OF_ROW = 3
_PIECE = 1 << 18  # bytes of the table that are looked at, and sorted, at once
_KINDS = (2, 10)  # STT_FUNC, STT_GNU_IFUNC
_INDEX_BITS = 20  # of a key: the address above, the row below
_MAX_ADDRESS = 1 << (64 - _INDEX_BITS)
_TABLES = ((".symtab", ".strtab"), (".dynsym", ".dynstr"))


class Symbols:
    """The functions of one file. Keeps a descriptor of its own until `close`."""

    def __init__(self, fd: int, cached: int = CACHED) -> None:
        """Look at the file; one that has no readable table has no names. Raises OSError."""
        self._fd = os.dup(fd)
        self._elf: Elf | None = None
        self._go: PcLnTab | None = None
        self._others: ElfSymbols | None = None
        self._cached = lru_cache(cached)(self._name)
        try:
            self._look()
        except Refusal:
            pass
        except OSError:
            self.close()
            raise

    @property
    def size(self) -> int:
        """About how many bytes of memory are kept of the file, without cached answers."""
        sections = 0 if self._elf is None else len(self._elf.sections)
        symbols = 0 if self._others is None else self._others.count
        return _LEAST_BYTES + sections * _SECTION_BYTES + symbols * _SYMBOL_BYTES

    def name(self, address: int) -> str | None:
        """The function at a link-time address, None where nothing tells."""
        return self._cached(address)

    def name_at(self, offset: int) -> str | None:
        """The function at a place in the file: an address less its mapping, plus its offset."""
        address = self._elf.address_of(offset) if self._elf else None
        return None if address is None else self.name(address)

    def close(self) -> None:
        """Give the descriptor and the memory back: the cache holds this object, as it holds it."""
        os.close(self._fd)
        self._elf = self._go = self._others = None
        self._cached.cache_clear()

    def _look(self) -> None:
        self._elf = Elf(self._fd)
        if ".go.buildinfo" in self._elf.sections:
            self._go = open_pclntab(self._elf)

    def _name(self, address: int) -> str | None:
        try:
            return (self._go and self._go.lookup(address)) or self._symbols().name(address)
        except (Refusal, OSError):
            return None

    def _symbols(self) -> ElfSymbols:
        if self._elf is None:
            raise Refusal(State.NOT_GO, "not a program")
        if self._others is None:
            self._others = ElfSymbols(self._elf)
        return self._others


class ElfSymbols:
    """The functions of .symtab, in a stripped file of .dynsym; raises Refusal and OSError."""

    def __init__(self, elf: Elf) -> None:
        """Sort the table by address, in pieces. Eight bytes a function stay in memory."""
        self._elf = elf
        self._pieces: list[array[int]] = []
        for table, names in _TABLES:
            rows, strings = elf.section(table), elf.section(names)
            if rows and strings:
                self._offset, self._strings = rows.offset, strings
                self._pieces = self._read_pieces(rows.size // _ROW.size)
                return

    @property
    def count(self) -> int:
        """Functions in the table."""
        return sum(map(len, self._pieces))

    def name(self, address: int) -> str | None:
        """The function that holds an address; one of unknown size ends at the next."""
        if not 0 <= address < _MAX_ADDRESS:
            return None
        key = self._last_before((address + 1 << _INDEX_BITS) - 1)
        if key is None:
            return None
        index = key & ((1 << _INDEX_BITS) - 1)
        row = self._elf.read(self._offset + index * _ROW.size, _ROW.size)
        place, _, _, _, start, size = _ROW.unpack(row)
        if size and address >= start + size:
            return None
        return self._text(place)

    def _last_before(self, bound: int) -> int | None:
        """The largest key up to a bound."""
        places = ((piece, bisect_right(piece, bound)) for piece in self._pieces)
        return max((piece[at - 1] for piece, at in places if at), default=None)

    def _read_pieces(self, count: int) -> list[array[int]]:
        if count > MAX_SYMBOLS:
            raise Refusal(State.TOO_LARGE, f"a table of {count} symbols")
        step = _PIECE // _ROW.size
        return [self._read_keys(first, min(step, count - first)) for first in range(0, count, step)]

    def _read_keys(self, first: int, count: int) -> array[int]:
        data = self._elf.read(self._offset + first * _ROW.size, count * _ROW.size)
        words = memoryview(data).cast("Q")
        kinds, addresses = (words[part::_WORDS_OF_ROW].tolist() for part in (0, 1))
        keys = [
            address << _INDEX_BITS | index
            for index, (kind, address) in enumerate(zip(kinds, addresses, strict=True), first)
            if (kind >> 32) & 0xF in _KINDS and 0 < address < _MAX_ADDRESS
        ]
        keys.sort()
        return array("Q", keys)

    def _text(self, place: int) -> str | None:
        if not 0 < place < self._strings.size:
            return None
        size = min(NAME_BYTES, self._strings.size - place)
        return name_in(self._elf.read(self._strings.offset + place, size))
