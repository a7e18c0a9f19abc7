"""A small program of Go as an ELF file, made to measure: what golang/ looks for, and no more."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from struct import pack

TEXT, DATA = 0x401000, 0x800000
GC_CONTROLLER, GOMAXPROCS, CYCLES = DATA + 0x10000, DATA + 0x10800, DATA + 0x10900
BUCKETS, RATE = DATA + 0x10A00, DATA + 0x10A08
DATA_MEMORY = 0x20000
METHOD = "runtime.(*gcControllerState)."

CHECK_SMALL = b"\x49\x3b\x66\x10\x76\x20"
CHECK_NEAR = b"\x49\x3b\x66\x10\x0f\x86\x20\x00\x00\x00"
CHECK_SYSTEM = b"\x4c\x8d\x64\x24\xe8\x4d\x3b\x66\x18\x76\x20"
CHECK_HUGE = b"\x4c\x8d\xa4\x24\x00\xf0\xff\xff\x4d\x3b\x66\x10\x76\x20"
PUSH = b"\x55\x48\x89\xe5"
SUB = b"\x48\x83\xec\x28"

# Parts of code: bytes as they are, (bytes, address) with the address as a relative operand,
# (bytes, name) with a function's.
Part = bytes | tuple[bytes, int | str]
Sites = dict[str, list[Part]]


def sites() -> Sites:
    """The functions, with a frame as Go 1.21 and later have it."""
    frame: list[Part] = [CHECK_NEAR + PUSH]
    call: list[Part] = [(b"\x48\x8d\x05", GC_CONTROLLER)]
    procs: list[Part] = [(b"\x48\x63\x0d", GOMAXPROCS)]
    cycles: list[Part] = [(b"\x48\x8d\x0d", CYCLES), b"\xf0\x0f\xc1\x01"]
    return {
        "runtime.stopTheWorldWithSema": [CHECK_SYSTEM + PUSH],
        "runtime.(*gcCPULimiterState).finishGCTransition": frame,
        f"{METHOD}startCycle": frame,
        f"{METHOD}endCycle": frame,
        f"{METHOD}resetLive": [CHECK_SMALL + PUSH],
        f"{METHOD}commit": frame,
        "runtime.gcTrigger.test": [(b"\x8b\x15", CYCLES)],
        "runtime.gcStart": [*frame, *cycles, *procs, *call, (b"\xe8", f"{METHOD}startCycle")],
        "runtime.gcMarkDone": [*frame, *procs, *call, (b"\xe8", f"{METHOD}endCycle")],
        "runtime.gcMark": [*frame, *call, (b"\xe8", f"{METHOD}resetLive")],
        "runtime.gcControllerCommit": [*frame, *call, (b"\xe8", f"{METHOD}commit")],
        "runtime.mProf_FlushLocked": [*frame, (b"\x48\x8b\x05", BUCKETS)],
        "runtime.stkbucket": [*frame, (b"\x48\x8d\x05", BUCKETS), (b"\x48\x8d\x0d", DATA)],
        "runtime.allocmcache": [*frame, (b"\x48\x8b\x05", RATE)],
        "runtime.profilealloc": [*frame, (b"\x48\x8b\x35", RATE)],
        "main.main": frame,
    }


@dataclass
class Made:
    """The program: change a part, then `file` writes it."""

    version: str = "go1.25.5"
    information: str = "path\texample.org/made\nbuild\t-buildmode=exe\n"
    sites: Sites = field(default_factory=sites)
    magic: int = 0xFFFFFFF1
    counted: int | None = None  # functions, if not as many as there are
    module: bool = False  # text base in .go.module, as from 1.26 on
    relocated: bool = False  # text base in .rela.dyn, as gcc leaves it
    merged: bool = False  # table of functions inside .data.rel.ro
    names: dict[str, str] = field(default_factory=dict)  # of sections, to be changed
    machine: int = 62
    pointers: bool = False  # build information as before Go 1.18

    def entry(self, name: str) -> int:
        """Where a function begins."""
        return TEXT + 64 * list(self.sites).index(name)

    def bytes(self) -> bytes:
        """The whole file."""
        table = self._pclntab()
        prefix = (b"\xf1\xff\xff\xff junk" * 3).ljust(64, b"\0") if self.merged else b""
        text = b"".join(self._code(name) for name in self.sites)
        table_at = TEXT + 0x4000
        rela_at = table_at + 0x4000
        relocation = pack("<QQq", table_at + len(prefix) + 24, 8, TEXT)
        module_at = DATA + 0x1000
        parts = [
            (".text", TEXT, text),
            (".data.rel.ro" if self.merged else ".gopclntab", table_at, prefix + table),
            (".rela.dyn", rela_at, pack("<QQq", 8, 8, 8) * 5 + relocation),
            (
                ".note.gnu.build-id",
                rela_at + 0x1000,
                pack("<III4s", 4, 4, 3, b"GNU\0") + b"\xab" * 4,
            ),
            (".go.buildinfo", DATA, self._build_info()),
        ]
        if self.module:
            parts.append((".go.module", module_at, bytes(176) + pack("<Q", TEXT) + bytes(64)))
        return self._elf([(self.names.get(n, n), a, d) for n, a, d in parts])

    def file(self) -> int:
        """An open file with it; to be closed."""
        return opened(self.bytes())

    def _code(self, name: str) -> bytes:
        code = b""
        for part in self.sites[name]:
            if isinstance(part, bytes):
                code += part
                continue
            opcode, target = part
            address = self.entry(target) if isinstance(target, str) else target
            code += opcode
            code += pack("<i", address - (self.entry(name) + len(code) + 4))
        return code.ljust(64, b"\xcc")

    def _pclntab(self) -> bytes:
        count = len(self.sites)
        names, places = b"\0", []
        for name in self.sites:
            places.append(len(names))
            names += name.encode() + b"\0"
        names = names.ljust((len(names) + 7) // 8 * 8, b"\0")
        rows_size = count * 8 + 4
        rows = b"".join(pack("<II", 64 * i, rows_size + 44 * i) for i in range(count))
        rows += pack("<I", 64 * count)
        described = b"".join(
            pack("<Ii", 64 * i, place).ljust(44, b"\x01") for i, place in enumerate(places)
        )
        start = 0 if self.module or self.relocated else TEXT
        ends = [72, *[72 + len(names)] * 4]
        counted = count if self.counted is None else self.counted
        header = pack("<IBBBBQQQ5Q", self.magic, 0, 0, 1, 8, counted, 1, start, *ends)
        return header + names + rows + described

    def _build_info(self) -> bytes:
        if self.pointers:
            header = (b"\xff Go buildinf:" + bytes((8, 0))) + pack("<QQ", DATA + 64, DATA + 80)
            strings = pack("<QQQQ", DATA + 128, len(self.version), 0, 0)
            return header.ljust(64, b"\0") + strings.ljust(64, b"\0") + self.version.encode()
        information = b"\x30" * 16 + self.information.encode() + b"\x30" * 16
        strings = b"".join(varint(len(s)) + s for s in (self.version.encode(), information))
        return (b"\xff Go buildinf:" + bytes((8, 2))).ljust(32, b"\0") + strings

    def _elf(self, parts: list[tuple[str, int, bytes]]) -> bytes:
        body = bytearray(64 + 2 * 56)
        rows, names = [bytes(64)], b"\0"
        placed = {}
        for name, address, data in [*parts, (".shstrtab", 0, b"")]:
            label = len(names)
            names += name.encode() + b"\0"
            data = names if name == ".shstrtab" else data
            offset = address - TEXT + 0x1000 if TEXT <= address < DATA else None
            if offset is None:
                offset = address - DATA + 0x10000 if address else 0x14000
            body = body.ljust(offset, b"\0") if len(body) < offset else body
            body[offset : offset + len(data)] = data
            placed[name] = offset
            rows.append(pack("<IIQQQQIIQQ", label, 1, 2, address, offset, len(data), 0, 0, 8, 0))
        table = len(body) + -len(body) % 8
        body = body.ljust(table, b"\0") + b"".join(rows)
        ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
        counts = (64, 56, 2, 64, len(rows), len(rows) - 1)
        body[:64] = pack(
            "<16sHHIQQQIHHHHHH", ident, 2, self.machine, 1, TEXT, 64, table, 0, *counts
        )
        body[64:120] = pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0, 0x10000, 0x10000, 0x1000)
        size = 0x4000
        body[120:176] = pack("<IIQQQQQQ", 1, 6, 0x10000, DATA, 0, size, DATA_MEMORY, 0x1000)
        return bytes(body)


def varint(number: int) -> bytes:
    """As encoding/binary writes lengths."""
    out = b""
    while number >= 0x80:
        out += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return out + bytes((number,))


def opened(data: bytes) -> int:
    """A file with these bytes."""
    fd = os.memfd_create("made")
    os.write(fd, data)
    return fd
