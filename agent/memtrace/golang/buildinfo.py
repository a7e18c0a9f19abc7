"""What the go command wrote into a program: its version, main package and build settings.

Go 1.18 and later keep both strings in section .go.buildinfo itself, older ones pointers to
them, of which only the version is followed. Of the settings only those that say how the
program behaves are kept: -ldflags may hold secrets.
Source: debug/buildinfo in Go's library.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import NamedTuple

from memtrace.golang.elf import MAX_READ, Elf
from memtrace.golang.refusal import Refusal, State

_MAGIC = b"\xff Go buildinf:"
_HEADER = 32
_INLINE = 2  # of the flags
_POINTER_BYTES = 8
_MAX_VERSION = 256
_MAX_INFO = 1 << 20  # a module and its dependencies, 100 bytes each
_MARKER = 16  # bytes before and after the module information, by which `go` used to find it
_LINE = re.compile(rb"^(path|build)\t(.{0,4096})", re.MULTILINE)
_MAX_LINES = 64  # a dozen of the build, one path
_MAX_TEXT = 256  # characters kept of anything: what is kept is kept of each program of a node
_KEPT = {"-buildmode", "CGO_ENABLED", "GOARCH", "GOEXPERIMENT"}
_DEBUG = "DefaultGODEBUG"
MEMORY_SETTINGS = ("containermaxprocs", "updatemaxprocs", "madvdontneed")
"""Of GODEBUG (go.dev/doc/godebug), what bears on memory and on GOMAXPROCS."""
_RELEASE = re.compile(r"go1\.(\d{1,3})(?!\d)")


class BuildInfo(NamedTuple):
    """What is known of a build; `minor` is 25 of go1.25.5, None where it is no release.

    `main` is the path of the main package, None when it is not told. `settings` are those of
    `go version -m` that matter here. `debug` is what GODEBUG is unless set, as far as it bears on
    memory, e.g. containermaxprocs 0: the quota is not looked at.
    """

    version: str
    minor: int | None
    main: str | None
    settings: dict[str, str]
    debug: dict[str, str]


def read_build_info(elf: Elf) -> BuildInfo | None:
    """The build information, None where the file has none; Refusal when it makes no sense."""
    section = elf.section(".go.buildinfo")
    if section is None:
        return None
    data = elf.read(section.offset, min(section.size, MAX_READ))
    if len(data) < _HEADER or not data.startswith(_MAGIC):
        raise Refusal(State.IMPLAUSIBLE, "the build information does not begin as it should")
    if data[15] & _INLINE:
        version, after = _string(data, _HEADER, _MAX_VERSION)
        information, _ = _string(data, after, _MAX_INFO)
        return parse(version, information[_MARKER:-_MARKER])
    if data[14] != _POINTER_BYTES:
        raise Refusal(State.ARCHITECTURE, "pointers are not of 8 bytes")
    return parse(_pointed_to(elf, section.address + 16), b"")


def parse(version: bytes, information: bytes) -> BuildInfo:
    """The two strings as facts; lines of an unknown kind are skipped."""
    text = _printable(version)
    release = _RELEASE.match(text)
    main = None
    settings: dict[str, str] = {}
    debug: dict[str, str] = {}
    for line in islice(_LINE.finditer(information), _MAX_LINES):
        if line[1] == b"path":
            main = main or _printable(line[2]) or None
            continue
        name, _, setting = line[2].partition(b"=")
        key, value = _printable(name), setting.strip(b'"`')
        if key in _KEPT:
            settings[key] = _printable(value)
        elif key == _DEBUG:
            debug = _of_memory(value)
    return BuildInfo(text, int(release[1]) if release else None, main, settings, debug)


def _of_memory(value: bytes) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in value.decode("utf-8", "replace").split(","))
    return {name: _printable(to.encode()) for name, is_, to in pairs if name in MEMORY_SETTINGS}


def _printable(data: bytes) -> str:
    text = data.decode("utf-8", "replace")[:_MAX_TEXT]
    return "".join(character if character.isprintable() else "�" for character in text)


def _string(data: bytes, at: int, limit: int) -> tuple[bytes, int]:
    """A string after its length, 7 bits a byte; and where it ends."""
    length = shift = 0
    while at < len(data) and shift < 28:
        length |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            break
    if length > limit or at + length > len(data):
        raise Refusal(State.IMPLAUSIBLE, "a string of the build information does not end")
    return data[at : at + length], at + length


def _pointed_to(elf: Elf, address: int) -> bytes:
    """Go's string behind the pointer at an address: a pointer and a length themselves."""
    header = elf.pointer_at(address)
    size = int.from_bytes(elf.read_at(header + 8, 8), "little")
    if size > _MAX_VERSION:
        raise Refusal(State.IMPLAUSIBLE, "a Go version of more than 256 bytes")
    return elf.read_at(elf.pointer_at(header), size)
