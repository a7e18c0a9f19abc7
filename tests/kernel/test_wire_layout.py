"""The mirror of wire.h against what the compiler made of it: the objects' own BTF."""

from __future__ import annotations

import ctypes
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtrace.kernel.btf import Btf
from memtrace.kernel.session import OBJECTS
from tests.outcomes import unavailable
from tests.unit.kernel.layouts import MIRRORS, NUMBERS, Member, assert_mirrored
from tools.build_bpf import tool

HEADER = Path(__file__).parents[2] / "bpf" / "include" / "wire.h"
IN_OBJECTS = sorted(
    set(MIRRORS) - {"mt_task_event", "mt_exit_event", "mt_go_cycle"}
)  # made on the stack: in no object's BTF
INTEGERS = """
typedef unsigned long long __u64; typedef unsigned int __u32; typedef int __s32;
"""


def section(elf: bytes, wanted: str) -> bytes:
    """One section of a little-endian ELF64 file."""
    (table,) = struct.unpack_from("<Q", elf, 40)
    size, count, names = struct.unpack_from("<3H", elf, 58)
    heads = [struct.unpack_from("<IIQQQQ", elf, table + i * size) for i in range(count)]
    for name, _, _, _, offset, length in heads:
        start = heads[names][4] + name
        if elf[start : elf.index(b"\0", start)].decode() == wanted:
            return elf[offset : offset + length]
    raise LookupError(wanted)


def members(btf: Btf, name: str) -> tuple[int, list[Member]] | None:
    """A struct's size and members; each one ends where the next begins."""
    found = btf.find("struct", name)
    if found is None:
        return None
    kind = btf.at(found)
    records = ctypes.string_at(kind.address + 12, kind.vlen * 12)
    raw = [(btf._name(at), bits // 8) for at, _, bits in struct.iter_unpack("=3I", records)]
    ends = [offset for _, offset in raw[1:]] + [kind.target]
    pairs = zip(raw, ends, strict=True)
    return kind.target, [Member(name, start, end - start) for (name, start), end in pairs]


@pytest.fixture(scope="module")
def objects() -> Iterator[dict[str, Btf]]:
    """The BTF of every compiled object, by its name."""
    paths = sorted(OBJECTS.glob("*.bpf.o"))
    opened = {path.name: Btf.parse(section(path.read_bytes(), ".BTF")) for path in paths}
    yield opened
    for btf in opened.values():
        btf.close()


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Btf]:
    """The BTF of everything in wire.h, compiled alone: a variable of each struct, each number."""
    names = re.findall(r"^struct (mt_\w+)", HEADER.read_text(), flags=re.MULTILINE)
    numbers = ", ".join(f"N_{name} = {name}" for name in NUMBERS)
    variables = " ".join(f"struct {name} v_{name};" for name in names)
    clang = tool("clang")
    if clang is None:
        unavailable("clang is missing")
    place = tmp_path_factory.mktemp("wire")
    (place / "wire.bpf.c").write_text(
        f'{INTEGERS}\n#include "{HEADER}"\nenum all {{ {numbers} }}; enum all all; {variables}\n'
    )
    command = [clang, "-target", "bpf", "-O2", "-g", "-c", "wire.bpf.c", "-o", "wire.o"]
    subprocess.run(command, cwd=place, check=True)
    with Btf.parse(section((place / "wire.o").read_bytes(), ".BTF")) as btf:
        yield btf


@pytest.mark.parametrize("name", IN_OBJECTS)
def test_objects_lay_out_the_record_as_python_does(objects: dict[str, Btf], name: str) -> None:
    """Every compiled object that knows the struct agrees with the mirror."""
    layouts = [layout for btf in objects.values() if (layout := members(btf, name))]
    assert layouts, f"no object has struct {name}"
    for size, found in layouts:
        assert_mirrored(name, size, found)


@pytest.mark.parametrize("name", sorted(MIRRORS))
def test_the_header_lays_out_the_record_as_python_does(header: Btf, name: str) -> None:
    """The same for every struct of the header, used in a map or not."""
    layout = members(header, name)
    assert layout is not None
    assert_mirrored(name, *layout)


def test_every_number_has_the_compilers_value(header: Btf) -> None:
    """Kinds, reasons, losses, events and flags."""
    found = {name: header.enum_value("all", f"N_{name}") for name in NUMBERS}
    assert found == NUMBERS
