"""Programs that come as bytecode instead of an object file: link, load, attach, hand out maps.

Knows no compiler. In the bytecode, 64-bit loads stand for maps and constants by their number: see
MAP, CFG and MT_MAP in bpf/include/engine.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator, Mapping, Sequence

from memtrace.kernel.errors import BpfError, check
from memtrace.kernel.libbpf import ProgLoadOpts, libbpf
from memtrace.kernel.maps import Map
from memtrace.kernel.objects import LoadedObject
from memtrace.kernel.programs import Attachment, LoadedProgram

_LICENCE = b"Dual BSD/GPL"  # as LICENSE(...) says at the end of each source
_LOG_BYTES = 1 << 20
_RAW_TRACEPOINT = 17  # enum bpf_prog_type
_INSTRUCTION = struct.Struct("<BBhi")
_WIDE = 0x18  # loads 64 bits; the upper half of the registers' byte says what they stand for
_MAP, _CONSTANT = 1, 2


class BytecodeObject(LoadedObject):
    """The programs of one source, with the maps they use. Every method raises BpfError.

    `code`: by function, these programs among others; `numbered`: maps and constants by their
    number in it; `constants`: values of CFG(name), by name; of others 0.
    """

    def __init__(
        self,
        name: str,
        programs: Sequence[str],
        code: Mapping[str, bytes],
        numbered: Sequence[str],
        constants: Mapping[str, int],
    ) -> None:
        super().__init__(name)
        self._names = programs
        self._wanted = set(programs)
        self._code = code
        self._numbered = numbered
        self._constants = constants
        self._entries: dict[str, int] = {}
        self._programs: dict[str, LoadedProgram] = {}

    def programs(self) -> list[str]:
        """The names of all programs in the source, loaded or not."""
        return list(self._names)

    def autoload(self, name: str, wanted: bool) -> None:
        """Say whether `load` shall load this program."""
        (self._wanted.add if wanted else self._wanted.discard)(name)

    def set_max_entries(self, name: str, count: int) -> None:
        """Set the size of a map."""
        self._entries[name] = count

    def reuse_map(self, name: str, other: Map) -> None:
        """Use an existing map, which stays its owner's."""
        self._maps[name] = Map(other.fd, name, *other.layout[1:], other.max_entries, other.type)

    def load(self) -> None:
        """Create the maps that the programs use, and load these."""
        for name in self._names:
            if name in self._wanted:
                self._programs[name] = RawProgram(name, self._linked(self._code[name]))

    def map(self, name: str) -> Map:
        """A map, made when it is first asked for."""
        if name not in self._maps:
            code = self._code.get(f"mt_map_{name}", b"")
            self._maps[name] = made_map(name, code, self._entries.get(name))
        return self._maps[name]

    def program(self, name: str) -> LoadedProgram:
        """A loaded program."""
        if name not in self._programs:
            raise BpfError(errno.ENOENT, f"use program {name} of {self.name}, which is not loaded")
        return self._programs[name]

    def close(self) -> None:
        """Detach and unload all. May be called twice."""
        super().close()
        for program in self._programs.values():
            os.close(program.fd)
        self._programs.clear()

    def _loaded(self) -> Iterator[LoadedProgram]:
        yield from self._programs.values()

    def _linked(self, code: bytes) -> bytes:
        """The code with descriptors and values in the place of maps' and constants' numbers."""
        linked = bytearray(code)
        for at in range(0, len(code) - 8, 8):
            operation, registers, _, number = _INSTRUCTION.unpack_from(code, at)
            kind = registers >> 4
            if operation != _WIDE or kind not in (_MAP, _CONSTANT):
                continue
            name = self._numbered[number]
            if kind == _MAP:
                struct.pack_into("<i", linked, at + 4, self.map(name).fd)
            else:
                constant = registers & 15, 0, self._constants.get(name, 0)
                struct.pack_into("<BHI", linked, at + 1, *constant)
        return bytes(linked)


class RawProgram(LoadedProgram):
    """A program on a raw tracepoint, by its descriptor."""

    def __init__(self, name: str, code: bytes) -> None:
        log = ctypes.create_string_buffer(_LOG_BYTES)
        options = ProgLoadOpts(sz=ctypes.sizeof(ProgLoadOpts), log_size=_LOG_BYTES)
        options.log_buf = ctypes.addressof(log)
        fd = libbpf().bpf_prog_load(
            _RAW_TRACEPOINT,
            name.encode(),
            _LICENCE,
            code,
            len(code) // 8,
            ctypes.byref(options),
        )
        if fd < 0:
            raise BpfError(-fd, f"load {name}", log.value.decode(errors="replace"))
        super().__init__(fd, name)

    def attach(self) -> Attachment:
        """Attach to the tracepoint that the name tells."""
        fd = libbpf().bpf_raw_tracepoint_open(self.name.removeprefix("on_").encode(), self.fd)
        return RawLink(check(fd, f"attach {self.name}"))


class RawLink(Attachment):
    """A program on its raw tracepoint."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @property
    def fd(self) -> int:
        """The link's file descriptor, -1 once closed."""
        return self._fd

    def close(self) -> None:
        """Detach. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def made_map(name: str, code: bytes, entries: int | None) -> Map:
    """A new map, as the number in its program (MT_MAP in engine.h) says."""
    if len(code) < 16 or code[0] != _WIDE:
        raise BpfError(errno.EINVAL, f"read how map {name} is made")
    low, high = struct.unpack_from("<I4xI", code, 4)
    kind, key_bytes, value_bytes = low & 255, low >> 8 & 255, low >> 16
    return Map.create(kind, name, key_bytes, value_bytes, entries or high)
