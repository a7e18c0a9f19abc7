"""Names by address: of Go's table, of C's symbols, none of what has neither."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtrace.golang import symbolize
from memtrace.golang.symbolize import Symbols
from tests.unit.golang.conftest import Open
from tests.unit.golang.synthetic import TEXT, Made


def mapped_libc() -> tuple[str, int]:
    """The C library this process uses, and how far it is from where it was linked to."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    mapped = [line.split() for line in lines if line.endswith(("libc.so.6", "ld-musl-x86_64.so.1"))]
    return mapped[0][-1], int(mapped[0][0].partition("-")[0], 16)


@pytest.fixture
def libc() -> Iterator[tuple[Symbols, int]]:
    """The C library's symbols, and how far it is from where it was linked to."""
    path, base = mapped_libc()
    with open(path, "rb") as file:
        symbols = Symbols(file.fileno())
    yield symbols, base
    symbols.close()


def test_functions_of_c_have_their_exported_names(libc: tuple[Symbols, int]) -> None:
    """Where the dynamic linker found them; one behind the end is not theirs."""
    symbols, base = libc
    for name in ("qsort", "fopen", "getenv"):
        function = ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value
        assert function is not None
        found = symbols.name(function - base + 1)
        assert found is not None
        assert name in found  # several names may share an address
    assert symbols.name(1) is None


def test_functions_of_go_have_their_own_names(open_bytes: Open) -> None:
    """By address and by place in the file."""
    symbols = Symbols(open_bytes(Made().bytes()))
    assert symbols.name(Made().entry("runtime.gcMark") + 5) == "runtime.gcMark"
    assert symbols.name_at(Made().entry("runtime.gcMark") + 5 - 0x400000) == "runtime.gcMark"
    assert symbols.name(TEXT - 1) is None
    symbols.close()


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", Made().bytes()[:5000]])
def test_other_files_have_no_names(open_bytes: Open, data: bytes) -> None:
    """And raise nothing."""
    symbols = Symbols(open_bytes(data))
    assert (symbols.name(TEXT), symbols.name_at(100)) == (None, None)
    symbols.close()


def test_answers_are_kept_up_to_a_bound(open_bytes: Open) -> None:
    """A name is read once; the oldest make room."""
    fd = open_bytes(Made().bytes())
    symbols = Symbols(fd, cached=2)
    assert symbols.name(TEXT) == "runtime.stopTheWorldWithSema"
    os.ftruncate(fd, 0)
    assert symbols.name(TEXT) == "runtime.stopTheWorldWithSema"
    assert [symbols.name(TEXT + at) for at in (1, 2)] == [None, None]
    assert symbols.name(TEXT) is None
    symbols.close()


def test_too_many_symbols_are_none(
    libc: tuple[Symbols, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than more memory than there is for it."""
    monkeypatch.setattr(symbolize, "MAX_SYMBOLS", 10)
    assert libc[0].name(0x50000) is None


def test_this_interpreter_is_named() -> None:
    """A program with many symbols, in its .symtab or .dynsym."""
    with open(os.path.realpath(sys.executable), "rb") as file:
        symbols = Symbols(file.fileno())
    assert any(symbols.name_at(at) for at in range(0x1000, 0x400000, 0x1000))
    symbols.close()


def test_names_have_a_bound(open_bytes: Open) -> None:
    """In characters, not in bytes, so that none is cut in two."""
    long = "main." + "ü" * 5000
    made = Made()
    made.sites = {long: [b"\x90"], "main.main": [b"\x90"]}
    symbols = Symbols(open_bytes(made.bytes()))
    assert symbols.name(TEXT) == long[:256]
    symbols.close()


def test_a_file_that_fails_half_way_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """EISDIR here, EIO or ESTALE on a file system that is gone: at any read."""
    before = len(os.listdir("/proc/self/fd"))
    fd = os.open("/", os.O_RDONLY)
    with pytest.raises(OSError, match="directory"):
        Symbols(fd)
    os.close(fd)
    made = Made().file()

    def failing(_elf: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(symbolize, "open_pclntab", failing)
    with pytest.raises(OSError, match="Stale"):
        Symbols(made)
    os.close(made)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_table_read_in_pieces_is_one(
    libc: tuple[Symbols, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names do not depend on how much is sorted at once."""
    whole, _ = libc
    places = range(0x20000, 0x180000, 0x1234)
    expected = [whole.name(at) for at in places]
    assert len(set(expected)) > 50
    monkeypatch.setattr(symbolize, "_PIECE", 24 * 7)
    with open(mapped_libc()[0], "rb") as file:
        pieces = Symbols(file.fileno())
    assert [pieces.name(at) for at in places] == expected
    assert pieces.size == whole.size > 0
    pieces.close()


def test_what_is_closed_keeps_no_memory(libc: tuple[Symbols, int]) -> None:
    """At once, not when Python looks for garbage."""
    with open(mapped_libc()[0], "rb") as file:
        symbols = Symbols(file.fileno())
    symbols.name(0x50000)
    table = weakref.ref(symbols._symbols())
    symbols.close()
    assert table() is None
